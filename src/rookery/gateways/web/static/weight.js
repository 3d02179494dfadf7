/* How long a tweet is, in weighted characters: the server's rule (kernel/text/weigh.py), which is that of twitter-text 3. */
export const LIMIT = 280;

// Each of these is a word's end to all that a text refers to, so words can be weighed one by one.
const SPACES = /([\t-\r \x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])/u;
const HEAVY = /[^\0-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]/gu;
const ELEMENT = "\\p{Extended_Pictographic}(?:\\ufe0f|\\p{Emoji_Modifier})?";
const EMOJI = new RegExp(
  "\\p{RI}{2}|[0-9#*]\\ufe0f?\\u20e3|\\u{1f3f4}[\\u{e0020}-\\u{e007e}]{1,6}\\u{e007f}" +
    `|${ELEMENT}(?:\\u200d(?:${ELEMENT}|\\p{Emoji_Modifier})){1,3}` +
    "|\\p{Extended_Pictographic}(?:\\ufe0f|\\p{Emoji_Modifier})",
  "gu",
);
// Whether that is an address depends on the top-level domains, which the server knows.
const ADDRESS = /.\.\p{L}/su;
const URL_LENGTH = 23;
const UNFIT = /[\0-\x08\x0b-\x1f\x7f-\x9f\ufffe\ufeff\uffff]|\p{Cs}/u;
const VISIBLE = /[^\s\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/u;

/**
 * The weight of `text`, and those words of which only the server can tell theirs; `known` has what it told of others.
 * `flaw` is "empty", "too_long", "unfit" (a character that is not allowed) or nothing.
 */
export function weigh(text, known = new Map()) {
  const normal = text.replace(/\r\n?/g, "\n").normalize("NFC");
  const asked = new Set();
  let length = 0;
  for (const word of normal.split(SPACES)) {
    if (!ADDRESS.test(word)) length += plain(word);
    else if (known.has(word)) length += known.get(word);
    else {
      asked.add(word);
      length += /^https?:\/\//i.test(word) ? URL_LENGTH : plain(word);
    }
  }
  const flaw = UNFIT.test(normal) ? "unfit" : !VISIBLE.test(normal) ? "empty" : length > LIMIT ? "too_long" : "";
  return { length, flaw, asked: [...asked] };
}

function plain(word) {
  const drawn = word.replace(EMOJI, "\u{1f600}");
  return [...drawn].length + (drawn.match(HEAVY)?.length ?? 0);
}
