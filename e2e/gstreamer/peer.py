"""GStreamer's side of a call: webrtcbin, driven by lines of JSON on standard input, which answers and reports in such lines.

In: {"do": "offer"}, {"do": "answer", "sdp": ...}, {"do": "accept", "sdp": ...}, {"do": "candidate", "line": 0, "candidate": ...},
{"do": "send", "text": ...}. Out: {"event": "offer"|"answer", "sdp"}, {"event": "candidate", "line", "candidate"},
{"event": "open"}, {"event": "message", "text"}, {"event": "frame", "media"} for each decoded one.
"""
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=111
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2 ! peer.
videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=25/1
  ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=25 ! rtpvp8pay pt=96 picture-id-mode=15-bit
  ! application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000 ! peer.
"""

DECODE = {
    "OPUS": "queue ! rtpopusdepay ! opusdec ! fakesink name=sink signal-handoffs=true",
    "VP8": "queue ! rtpvp8depay ! vp8dec ! fakesink name=sink signal-handoffs=true",
}


def say(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Peer:
    def __init__(self):
        self.pipeline = Gst.parse_launch(PIPELINE)
        self.bin = self.pipeline.get_by_name("peer")
        self.bin.connect("on-ice-candidate", lambda _, line, c: say("candidate", line=line, candidate=c))
        for name in ("ice-gathering-state", "ice-connection-state", "connection-state", "signaling-state"):
            self.bin.connect("notify::" + name, self.report)  # for the log of a failed test
        self.bin.connect("pad-added", self.on_pad)
        self.bin.connect("on-data-channel", lambda _, channel: self.watch(channel))
        self.channel = None

    def report(self, _, property):
        print(property.name, self.bin.get_property(property.name).value_nick, file=sys.stderr)

    def watch(self, channel):
        """Echoes what comes in on a channel of the other side's."""
        channel.connect("on-message-string", lambda ch, text: (say("message", text=text), ch.emit("send-string", text)))

    def open_channel(self):
        self.channel = self.bin.emit("create-data-channel", "gstreamer", None)
        self.channel.connect("on-open", lambda _: say("open"))
        self.channel.connect("on-message-string", lambda _, text: say("message", text=text))

    def on_pad(self, _, pad):
        if pad.direction != Gst.PadDirection.SRC:
            return
        encoding = pad.get_current_caps().get_structure(0).get_string("encoding-name")
        decoder = Gst.parse_bin_from_description(DECODE[encoding], True)
        decoder.get_by_name("sink").connect("handoff", lambda *_: say("frame", media=encoding))
        self.pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def make(self, kind):
        """Creates an offer or an answer and applies it."""

        def created(promise):
            reply = promise.get_reply()  # the description lives as long as this does
            description = reply.get_value(kind)
            self.bin.emit("set-local-description", description, Gst.Promise.new())
            say(kind, sdp=description.sdp.as_text())

        self.bin.emit("create-" + kind, None, Gst.Promise.new_with_change_func(created))

    def set_remote(self, kind, sdp, then=None):
        _, message = GstSdp.SDPMessage.new_from_text(sdp)
        description = GstWebRTC.WebRTCSessionDescription.new(kind, message)

        def applied(promise):
            reply = promise.get_reply()
            if reply and reply.has_field("error"):
                print("set-remote-description:", reply.get_value("error"), file=sys.stderr)
            if then:
                then()

        self.bin.emit("set-remote-description", description, Gst.Promise.new_with_change_func(applied))

    def do(self, command):
        match command["do"]:
            case "offer":
                # The transceivers exist once the sources have told their formats.
                self.pipeline.set_state(Gst.State.PAUSED)
                self.pipeline.set_state(Gst.State.PLAYING)
                self.open_channel()
                self.make("offer")
            case "answer":
                self.pipeline.set_state(Gst.State.PLAYING)
                self.open_channel()
                self.set_remote(GstWebRTC.WebRTCSDPType.OFFER, command["sdp"], lambda: self.make("answer"))
            case "accept":
                self.set_remote(GstWebRTC.WebRTCSDPType.ANSWER, command["sdp"])
            case "candidate":
                self.bin.emit("add-ice-candidate", command["line"], command["candidate"])
            case "send":
                self.channel.emit("send-string", command["text"])


def main():
    Gst.init(None)
    loop = GLib.MainLoop()
    peer = Peer()

    def read():
        for line in sys.stdin:
            GLib.idle_add(peer.do, json.loads(line))
        loop.quit()

    threading.Thread(target=read, daemon=True).start()
    loop.run()
    peer.pipeline.set_state(Gst.State.NULL)


main()
