import { AnalyticsBrowser } from "@segment/analytics-next";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

// The settings that would come from Segment's CDN, given by the option that is there for it.
const [protocol, apiHost] = `${endpoint}/v1`.split("://");
const analytics = AnalyticsBrowser.load(
  { writeKey: token, cdnSettings: { integrations: { "Segment.io": { apiKey: token, apiHost, protocol } } } },
  { integrations: { "Segment.io": { apiHost, protocol } } },
);
if (isFirst) {
  analytics.page(mark("page name"));
  analytics.track(mark("event name"), { amount: 9.5 });
  analytics.track("Order Completed", { note: mark("property") });
  analytics.identify("visitor-1", { name: mark("trait") });
} else {
  analytics.track(mark("back"));
}
sent();
