import { newTracker, trackPageView, trackSelfDescribingEvent, trackStructEvent } from "@snowplow/browser-tracker";
import { endpoint, isFirst, mark, page, sent, token } from "../site.js";

newTracker("sp", endpoint, {
  appId: token,
  eventMethod: page.includes("get") ? "get" : "post",
  encodeBase64: false,
});
if (isFirst) {
  trackPageView({ title: mark("title") });
  trackStructEvent({ category: "shop", action: "buy", label: mark("label"), value: 9.5 });
  trackSelfDescribingEvent({
    event: { schema: "iglu:test.fox/note/jsonschema/1-0-0", data: { note: mark("self-describing") } },
  });
} else {
  trackPageView({ title: mark("back") });
}
sent();
