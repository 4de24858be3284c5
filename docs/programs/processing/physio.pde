// Size of a circle from arousal; needs the library oscP5, and [sinks.osc] port = 9000.
import netP5.*;
import oscP5.*;

OscP5 osc;
float arousal = Float.NaN;

void setup() {
  size(400, 400);
  osc = new OscP5(this, 9000);
}

void oscEvent(OscMessage message) {
  if (message.checkAddrPattern("/physio/estimates/arousal.missing")) {
    arousal = Float.NaN;  // the value follows unless it is missing
  }
  if (message.checkAddrPattern("/physio/estimates/arousal")) {
    arousal = message.get(0).floatValue();
  }
}

void draw() {
  background(255);
  if (Float.isNaN(arousal)) {
    return;  // missing: show nothing rather than the last value
  }
  fill(40, 90, 160);
  float diameter = map(arousal, -1, 1, 20, 380);
  ellipse(200, 200, diameter, diameter);
}
