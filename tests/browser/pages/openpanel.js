import { OpenPanel } from "@openpanel/web";
import { endpoint, isFirst, mark, sent, token } from "../site.js";

const op = new OpenPanel({ apiUrl: endpoint, clientId: token, trackScreenViews: true });
if (isFirst) {
  op.track(mark("event name"), { amount: 9.5 });
  op.track("purchase", { note: mark("property") });
} else {
  op.track(mark("back"));
}
sent();
