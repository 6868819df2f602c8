// What each page knows: where to send (`endpoint`), the name that its tracker knows the site by (`token`), and
// whether this is a first visit or a return, which makes one event and lets the tracker send what it kept.
export const { endpoint, token, visit, page } = window.site;
export const isFirst = visit === "first";

const marks = [];

// A text that stands in exactly one event; it ends with an emoji, so none begins another.
export function mark(name) {
  const text = `${page} ${visit} ${name} é🦊`;
  marks.push(text);
  return text;
}

// To be called when all events have been given to the tracker.
export function sent() {
  window.sent = marks;
}
