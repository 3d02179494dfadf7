-- Plays requests from a file, one a line: METHOD, path, token, JSON body, and what only an open loop uses;
-- parted by tabs, body and token may be empty.
-- Each thread makes all its requests before the clock starts, and begins at a place of its own in the file.
-- Prints its figures as one line of JSON, which starts with "figures ".
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

local requests, at = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, token, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)")
    local headers = {}
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if body == "" then
      body = nil
    else
      headers["Content-Type"] = "application/json"
    end
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
  at = math.floor(#requests / tonumber(arguments[2]) * number) % #requests
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, requests)
  io.write(string.format(
    'figures {"seconds": %.6f, "requests": %d, "bytes": %d, "errors": {"connect": %d, "read": %d, "write": %d, ' ..
    '"status": %d, "timeout": %d}, "p50": %.3f, "p99": %.3f, "max": %.3f}\n',
    summary.duration / 1e6, summary.requests, summary.bytes, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.status, summary.errors.timeout, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3))
end
