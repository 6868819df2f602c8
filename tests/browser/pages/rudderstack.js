import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

// What the control plane would say, by the option that is there for it.
const source = { id: "fox", name: "fox", writeKey: token, enabled: true, workspaceId: "fox", config: {}, destinations: [] };
const analytics = new RudderAnalytics();
analytics.load(token, endpoint, { getSourceConfig: () => ({ updatedAt: "2026-01-01T00:00:00.000Z", source }) });
if (isFirst) {
  analytics.page("shop", mark("page name"));
  analytics.track(mark("event name"), { amount: 9.5 });
  analytics.track("Order Completed", { note: mark("property") });
  // Traits stay with the visitor and stand in each later event; this stands in one.
  analytics.identify("visitor-1", { plan: "fox" }, { context: { note: mark("identify") } });
} else {
  analytics.track(mark("back"));
}
sent();
