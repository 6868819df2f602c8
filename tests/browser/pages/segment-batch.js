import { AnalyticsBrowser } from "@segment/analytics-next";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

const [protocol, apiHost] = `${endpoint}/v1`.split("://");
const settings = { apiHost, protocol, deliveryStrategy: { strategy: "batching", config: { size: 3, timeout: 1000 } } };
const analytics = AnalyticsBrowser.load(
  { writeKey: token, cdnSettings: { integrations: { "Segment.io": { apiKey: token, ...settings } } } },
  { integrations: { "Segment.io": settings } },
);
if (isFirst) {
  for (const name of ["one", "two", "three", "four"]) analytics.track(mark(name), { amount: 9.5 });
} else {
  analytics.track(mark("back"));
}
sent();
