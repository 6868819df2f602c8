import mixpanel from "mixpanel-browser";
import { endpoint, isFirst, mark, page, sent, token } from "../site.js";

mixpanel.init(token, {
  api_host: endpoint,
  api_payload_format: page.includes("json") ? "json" : "base64",
  persistence: "localStorage",
  batch_request_timeout_ms: 5000,
});
if (isFirst) {
  mixpanel.track(mark("event name"), { amount: 9.5 });
  mixpanel.track("Purchase", { note: mark("property") });
  mixpanel.identify("visitor-1");
  mixpanel.people.set({ $name: mark("person") });
} else {
  mixpanel.track(mark("back"));
}
sent();
