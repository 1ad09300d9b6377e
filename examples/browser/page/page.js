'use strict';

const $ = (id) => document.getElementById(id);
const plot = new Plot($('plot'), ['down', 'up']);

// The visitor's wishes, which outlive a call.
let camera = null; // the MediaStream, if it is on
let call = null;

// A Call is one connection with the program, from its first signal to its last. This side makes all offers, so there is
// no glare; the program answers.
class Call {
  constructor() {
    this.pc = new RTCPeerConnection();
    this.posted = Promise.resolve();
    this.before = null;
    this.program = new Map(); // the program's own statistics

    // The stream of server-sent events is the way from the program; when it ends, so has the call.
    this.events = new EventSource('call');
    this.events.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.events.onerror = () => this.lost();

    this.pc.onicecandidate = ({candidate}) => this.post({candidate: candidate ? candidate.toJSON() : {candidate: ''}});
    this.pc.onconnectionstatechange = () => this.stateChanged();
    this.pc.ontrack = ({track, transceiver}) => {
      const stream = $('remote').srcObject || new MediaStream();
      stream.addTrack(track);
      $('remote').srcObject = stream;
    };

    // It fires when something new is to be negotiated, once everything before it is.
    this.pc.onnegotiationneeded = async () => {
      await this.pc.setLocalDescription();
      this.post({description: this.pc.localDescription});
    };
    this.transceivers = [];
    this.timer = setInterval(() => this.measure(), 1000);
  }

  // begin says what the call shall have in it, once the program has given it an id.
  begin(id) {
    this.id = id;
    this.chat = this.pc.createDataChannel('chat');
    this.chat.onmessage = ({data}) => showLine(JSON.parse(data));
    this.control = this.pc.createDataChannel('control');
    this.control.onopen = () => this.show();
    this.control.onmessage = ({data}) => { this.program = new Map(Object.entries(JSON.parse(data))); };
    // Both sections are there from the start; a camera that comes later only changes their direction.
    this.transceivers = ['audio', 'video'].map((kind) => this.pc.addTransceiver(kind, {direction: 'recvonly'}));
    return this.useCamera();
  }

  async receive(signal) {
    try {
      if (signal.id) await this.begin(signal.id);
      if (signal.description) await this.pc.setRemoteDescription(signal.description);
      if (signal.candidate) await this.pc.addIceCandidate(signal.candidate);
    } catch (error) {
      if (this.pc.signalingState !== 'closed') {
        console.error(error);
        this.lost();
      }
    }
  }

  // post sends a signal behind the ones before.
  post(signal) {
    this.posted = this.posted.then(async () => {
      if (this.pc.signalingState === 'closed') return;
      const response = await fetch(`call/${this.id}`, {
        method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify([signal]),
      });
      if (!response.ok) this.lost();
    }).catch(() => this.lost());
  }

  stateChanged() {
    const state = this.pc.connectionState;
    $('state').textContent = state;
    $('state').className = 'pill ' + state;
    if (state === 'failed') this.pc.restartIce();
  }

  // lost ends the call, and begins another one a little later.
  lost() {
    if (this.pc.signalingState === 'closed') return;
    this.close();
    $('state').textContent = 'the program has gone; calling again …';
    $('state').className = 'pill failed';
    setTimeout(begin, 2000);
  }

  close() {
    clearInterval(this.timer);
    this.events.close();
    this.pc.close();
    $('remote').srcObject = null;
  }

  // useCamera sends the camera, or nothing any more.
  async useCamera() {
    for (const t of this.transceivers) {
      const kind = t.receiver.track.kind;
      const track = camera && camera.getTracks().find((c) => c.kind === kind);
      await t.sender.replaceTrack(track || null);
      t.direction = track ? 'sendrecv' : 'recvonly';
    }
    this.show();
  }

  // show tells the program what it shall send.
  show() {
    const show = document.querySelector('input[name=show]:checked').value;
    if (this.control?.readyState === 'open') this.control.send(JSON.stringify({show}));
    $('remote-title').textContent = show === 'mirror' ? 'You, by way of the Go program' : 'A clip from the Go program';
  }

  async measure() {
    const stats = await this.pc.getStats();
    const now = figures(stats);
    if (this.before && now.time > this.before.time) {
      const seconds = (now.time - this.before.time) / 1000;
      plot.add((now.received - this.before.received) * 8 / seconds, (now.sent - this.before.sent) * 8 / seconds);
    }
    this.before = now;
    showFigures(now, figures(this.program));
  }
}

// figures takes what is shown out of a statistics report, a browser's or the program's: they have the same form.
function figures(stats) {
  const f = {received: 0, sent: 0, time: 0};
  const all = [...stats.values()];
  const transport = all.find((s) => s.type === 'transport') || {};
  // Firefox has no transport object with bytes and none with the pair.
  const pair = stats.get(transport.selectedCandidatePairId) ||
    all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded') || {};
  const bytes = transport.bytesReceived === undefined ? pair : transport;
  f.received = bytes.bytesReceived || 0;
  f.sent = bytes.bytesSent || 0;
  f.time = bytes.timestamp || 0;
  const local = stats.get(pair.localCandidateId), remote = stats.get(pair.remoteCandidateId);
  if (local && remote) f.path = `${local.candidateType} ${local.protocol} – ${remote.candidateType}`;
  if (pair.currentRoundTripTime !== undefined) f.rtt = `${(pair.currentRoundTripTime * 1000).toFixed(1)} ms`;
  f.ice = transport.iceRole;
  f.dtls = [{FEFD: 'DTLS 1.2', FEFC: 'DTLS 1.3'}[transport.tlsVersion], transport.dtlsCipher, transport.dtlsRole].filter(Boolean).join(', ');
  f.srtp = transport.srtpCipher;
  for (const s of all.filter((s) => s.type === 'inbound-rtp')) {
    const codec = stats.get(s.codecId);
    f[s.kind] = [codec && codec.mimeType.split('/')[1], `${s.packetsReceived} packets`, `${s.packetsLost} lost`,
      s.framesDecoded !== undefined && s.kind === 'video' && `${s.framesDecoded} frames`,
      s.frameWidth && `${s.frameWidth}×${s.frameHeight}`].filter(Boolean).join(', ');
  }
  return f;
}

function showFigures(page, program) {
  const rows = [['path', 'path'], ['round trip', 'rtt'], ['ICE role', 'ice'], ['encryption', 'dtls'], ['media keys', 'srtp'],
    ['audio received', 'audio'], ['video received', 'video']];
  $('figures').replaceChildren(...rows.map(([title, key]) => {
    const row = document.createElement('tr');
    for (const [tag, text] of [['th', title], ['td', page[key]], ['td', program[key]]]) {
      row.appendChild(document.createElement(tag)).textContent = text || '–';
    }
    return row;
  }));
}

function showLine({from, text}) {
  const item = document.createElement('li'), name = document.createElement('b');
  name.textContent = from;
  item.append(name, text);
  $('lines').append(item);
  while ($('lines').children.length > 200) $('lines').firstChild.remove();
  $('lines').scrollTop = $('lines').scrollHeight;
}

async function toggleCamera() {
  $('camera').disabled = true;
  try {
    if (camera) {
      camera.getTracks().forEach((t) => t.stop());
      camera = null;
    } else {
      camera = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 480}});
    }
    document.querySelector(`input[value=${camera ? 'mirror' : 'clip'}]`).checked = true;
    await call.useCamera();
  } catch (error) {
    showLine({from: 'camera', text: `${error.name}: ${error.message}`});
  } finally {
    $('local').srcObject = camera;
    $('camera').textContent = camera ? 'Camera off' : 'Camera on';
    $('camera').setAttribute('aria-pressed', String(camera !== null));
    $('camera').disabled = false;
  }
}

$('camera').onclick = toggleCamera;
$('sound').onclick = () => {
  const remote = $('remote');
  remote.muted = !remote.muted;
  $('sound').textContent = remote.muted ? 'Sound on' : 'Sound off';
  $('sound').setAttribute('aria-pressed', String(!remote.muted));
};
$('show').onchange = () => call.show();
$('say').onsubmit = (event) => {
  event.preventDefault();
  const text = $('line').value.trim();
  if (text && call.chat?.readyState === 'open') {
    call.chat.send(text);
    $('line').value = '';
  }
};
window.addEventListener('resize', () => plot.draw());
// The program need not wait until it misses a page that goes away.
window.addEventListener('pagehide', () => call.close());
window.addEventListener('pageshow', (event) => { if (event.persisted) begin(); });

function begin() { call = new Call(); }
begin();
