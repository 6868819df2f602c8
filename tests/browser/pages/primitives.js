// What a browser can send by itself, one event each.
import { endpoint, isFirst, mark, sent } from "../site.js";

const json = (name) => JSON.stringify({ event: mark(name) });
const beacon = (name, body) => {
  if (!navigator.sendBeacon(`${endpoint}/${name}`, body)) throw new Error(`sendBeacon refused ${name}`);
};
const form = (kind, name) => {
  const data = new kind();
  data.append("event", mark(name));
  data.append("page", "/fox shop?a=b&c");
  return data;
};
const compressed = (format, text) =>
  new Response(new Blob([text]).stream().pipeThrough(new CompressionStream(format))).arrayBuffer();
const post = async (name, options) => {
  const response = await fetch(`${endpoint}/${name}`, { method: "POST", ...options });
  if (options.mode !== "no-cors" && !response.ok) throw new Error(`${name}: ${response.status} ${await response.text()}`);
};
const pixel = (name) =>
  new Promise((loaded, failed) => {
    const image = new Image();
    image.onload = loaded;
    image.onerror = () => failed(new Error(`${name} is no image`));
    image.src = `${endpoint}/${name}?${new URLSearchParams({ event: mark(name) })}`;
  });
const xhr = (name, type) =>
  new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${endpoint}/${name}`);
    request.setRequestHeader("Content-Type", type);
    request.withCredentials = true;
    request.onload = done;
    request.onerror = () => failed(new Error(`${name} failed`));
    request.send(json(name));
  });

async function send() {
  const typed = { "Content-Type": "application/json" };
  beacon("beacon-string", json("beacon-string"));
  beacon("beacon-json-blob", new Blob([json("beacon-json-blob")], { type: "application/json" }));
  beacon("beacon-untyped-blob", new Blob([json("beacon-untyped-blob")]));
  beacon("beacon-form-data", form(FormData, "beacon-form-data"));
  beacon("beacon-url-search-params", form(URLSearchParams, "beacon-url-search-params"));
  beacon("beacon-array-buffer", new TextEncoder().encode(json("beacon-array-buffer")).buffer);
  const attempts = [
    post("fetch-keepalive", { headers: typed, body: json("fetch-keepalive"), keepalive: true }),
    post("fetch-no-cors", { mode: "no-cors", body: json("fetch-no-cors") }),
    post("fetch-credentials", { headers: typed, body: json("fetch-credentials"), credentials: "include" }),
    post("fetch-own-header", { headers: { ...typed, "X-Fox-Sdk": "1" }, body: json("fetch-own-header") }),
    post("fetch-form-data", { body: form(FormData, "fetch-form-data") }),
    post("fetch-json-lines", { body: `${json("json-line-1")}\n${json("json-line-2")}\n` }),
    post("fetch-put", { method: "PUT", headers: typed, body: json("fetch-put") }),
    xhr("xhr-credentials", "application/json"),
    pixel("pixel.gif"),
    pixel("pixel-without-an-ending"),
  ];
  for (const [format, encoding] of [["gzip", "gzip"], ["deflate", "deflate"]]) {
    const headers = { ...typed, "Content-Encoding": encoding };
    attempts.push(post(`fetch-${format}`, { headers, body: await compressed(format, json(`fetch-${format}`)) }));
  }
  for (const format of ["gzip", "deflate-raw"]) {
    const name = `fetch-${format}-unnamed`;
    attempts.push(post(name, { body: await compressed(format, json(name)) }));
  }
  // All are tried, also where one fails; the console tells which.
  for (const attempt of await Promise.allSettled(attempts)) {
    if (attempt.status === "rejected") console.error(String(attempt.reason));
  }
}

// The link's ping names where it goes; pagehide fires on the way there.
function prepareLeaving() {
  const link = document.createElement("a");
  link.id = "leave";
  link.textContent = "leave";
  window.leaving = [mark("a-ping"), mark("pagehide"), mark("pagehide-fetch")];
  const [ping, hide, hideFetch] = window.leaving;
  link.style = "display: block; width: 9em; height: 3em"; // there may be no font to give it a size
  link.ping = `${endpoint}/a-ping`;
  link.href = `/gone?event=${encodeURIComponent(ping)}`;
  document.body.append(link);
  addEventListener("pagehide", () => {
    navigator.sendBeacon(`${endpoint}/pagehide`, JSON.stringify({ event: hide }));
    fetch(`${endpoint}/pagehide-fetch`, { method: "POST", body: JSON.stringify({ event: hideFetch }), keepalive: true });
  });
}

if (isFirst && location.pathname === "/") {
  run();
} else {
  sent();
}

async function run() {
  await send();
  prepareLeaving();
  sent();
}
