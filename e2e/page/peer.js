'use strict';
// One RTCPeerConnection, driven by a test through the functions of `peer`. What a test waits for is a promise here.

const peer = (() => {
  let pc, own;
  const candidates = []; // not yet asked for; null marks the end
  const log = [];
  let wake = () => {};

  // waitFor resolves with the first true value of condition, which is looked at again after each event and, for what has
  // no event (statistics), each 50 ms.
  async function waitFor(condition) {
    for (;;) {
      const value = await condition();
      if (value) return value;
      await new Promise(resolve => { wake = resolve; setTimeout(resolve, 50); });
    }
  }

  const note = text => { log.push(text); wake(); };

  // echo sends back whatever comes in on a channel that the other side opened.
  function echo(channel) {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = e => channel.send(e.data);
    channel.onclose = () => note('closed ' + channel.label);
    note('channel ' + channel.label);
  }

  function show(e) {
    note('track ' + e.track.kind);
    const element = document.createElement(e.track.kind);
    element.muted = true;
    element.autoplay = true;
    element.srcObject = new MediaStream([e.track]);
    document.body.append(element);
    element.play().catch(error => note('play ' + error));
  }

  async function start({ media = false, config = {} } = {}) {
    pc = new RTCPeerConnection(config);
    pc.onicecandidate = e => {
      // The empty string ends a generation (webrtc-pc §4.8.1.1); null ends gathering.
      if (e.candidate && e.candidate.candidate !== '') candidates.push(e.candidate.toJSON());
      else if (!e.candidate) candidates.push(null);
      wake();
    };
    pc.onsignalingstatechange = () => note('signaling ' + pc.signalingState);
    pc.oniceconnectionstatechange = () => note('ice ' + pc.iceConnectionState);
    pc.onconnectionstatechange = () => note('connection ' + pc.connectionState);
    pc.ondatachannel = e => echo(e.channel);
    pc.ontrack = show;
    if (media) await addMedia();
    own = pc.createDataChannel('browser');
    own.binaryType = 'arraybuffer';
    own.onopen = () => note('open');
    own.onclose = () => note('closed browser');
  }

  async function addMedia() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
    for (const track of stream.getTracks()) pc.addTrack(track, stream);
  }

  const stop = kind => pc.getTransceivers().filter(t => t.receiver.track.kind === kind).forEach(t => t.stop());

  async function offer(options) {
    await pc.setLocalDescription(await pc.createOffer(options));
    return pc.localDescription.toJSON();
  }

  async function answer(description) {
    await pc.setRemoteDescription(description);
    await pc.setLocalDescription(await pc.createAnswer());
    return pc.localDescription.toJSON();
  }

  const accept = description => pc.setRemoteDescription(description);
  const candidate = c => pc.addIceCandidate(c);

  async function nextCandidate() {
    await waitFor(() => candidates.length > 0);
    return candidates.shift();
  }

  const connected = () => waitFor(() => {
    if (pc.connectionState === 'failed') throw new Error('connection failed: ' + log.join(', '));
    return pc.connectionState === 'connected';
  });

  const pattern = size => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 255);

  // roundTrip sends a string or binary message of the size on the page's own channel and waits for the same to come back.
  async function roundTrip(kind, size) {
    await waitFor(() => own.readyState === 'open');
    const sent = kind === 'string' ? 'ü'.repeat(size / 2) : pattern(size);
    const back = new Promise(resolve => { own.onmessage = e => resolve(e.data); });
    own.send(sent);
    const got = await back;
    if (kind === 'string') {
      if (got !== sent) throw new Error(`sent a string of ${sent.length}, got ${typeof got} of ${got.length ?? got.byteLength}`);
      return got.length;
    }
    if (!(got instanceof ArrayBuffer)) throw new Error('sent binary, got ' + typeof got);
    const bytes = new Uint8Array(got);
    if (bytes.length !== size || sent.some((b, i) => b !== bytes[i])) throw new Error(`binary of ${size} came back otherwise`);
    return size;
  }

  // closed waits until the other side has closed its channel of this label.
  const closed = label => waitFor(() => log.includes('closed ' + label));

  async function reports() {
    return [...(await pc.getStats()).values()];
  }

  // stats picks from getStats what the tests look at; what a browser does not report is absent.
  async function stats() {
    const all = await reports();
    const transport = all.find(s => s.type === 'transport') ?? {};
    const pair = all.find(s => s.id === transport.selectedCandidatePairId) ??
      all.find(s => s.type === 'candidate-pair' && (s.selected || (s.nominated && s.state === 'succeeded'))) ?? {};
    const digest = {
      dtlsState: transport.dtlsState, tlsVersion: transport.tlsVersion, dtlsCipher: transport.dtlsCipher,
      tlsGroup: transport.tlsGroup, srtpCipher: transport.srtpCipher, dtlsRole: transport.dtlsRole, iceRole: transport.iceRole,
      local: all.find(s => s.id === pair.localCandidateId), remote: all.find(s => s.id === pair.remoteCandidateId),
      inbound: {}, outbound: {},
    };
    for (const s of all) {
      if (s.type === 'inbound-rtp') {
        digest.inbound[s.kind] = {
          packets: s.packetsReceived, lost: s.packetsLost, frames: s.framesDecoded, keyFrames: s.keyFramesDecoded,
          dropped: s.framesDropped, width: s.frameWidth, height: s.frameHeight, samples: s.totalSamplesReceived,
          energy: s.totalAudioEnergy, decoder: s.decoderImplementation, nack: s.nackCount, pli: s.pliCount,
        };
      }
      if (s.type === 'outbound-rtp') {
        digest.outbound[s.kind] = { packets: s.packetsSent, frames: s.framesEncoded, keyFrames: s.keyFramesEncoded, pli: s.pliCount };
      }
    }
    return digest;
  }

  // media waits until this many video frames were decoded and this many audio packets came, and returns the statistics.
  const media = (frames, packets) => waitFor(async () => {
    const s = await stats();
    return (s.inbound.video?.frames ?? 0) >= frames && (s.inbound.audio?.packets ?? 0) >= packets ? s : null;
  });

  // decoding waits until frames of a live video track were decoded, from its receiver's own statistics.
  const decoding = frames => waitFor(async () => {
    for (const t of pc.getTransceivers()) {
      if (t.receiver.track.kind !== 'video' || t.currentDirection === 'stopped' || t.stopped) continue;
      for (const s of (await t.receiver.getStats()).values()) {
        if (s.type === 'inbound-rtp' && s.framesDecoded >= frames) return true;
      }
    }
    return false;
  });

  function close() {
    pc.close();
    for (const sender of pc.getSenders()) sender.track?.stop();
  }

  return {
    start, addMedia, stop, decoding, offer, answer, accept, candidate, nextCandidate, connected, roundTrip, closed, stats, reports, media, close,
    log: () => log, connection: () => pc, channel: () => own, waitFor,
  };
})();
