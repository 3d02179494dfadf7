/* The service worker; the server puts before it VERSION, and FILES, the addresses of its static files. */
const OFFLINE = "/offline";

self.addEventListener("install", (event) => {
  const add = (cache) => cache.addAll([...FILES, new Request(OFFLINE, { cache: "reload" })]);
  event.waitUntil(caches.open(VERSION).then(add).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== VERSION).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (FILES.includes(pathname)) {
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)));
  } else if (request.mode === "navigate") {
    // Pages come from the network, always, and are kept nowhere: they are somebody's.
    event.respondWith(fetch(request).catch(() => caches.match(OFFLINE)));
  }
});
