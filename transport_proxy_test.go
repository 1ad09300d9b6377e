package webrtc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// tcpNetwork is a simulated network whose TCP connections are served by functions.
type tcpNetwork struct {
	netio.Network
	serve  map[string]func(net.Conn) // by address and port
	dialed []string
}

func (n *tcpNetwork) DialTCP(_ context.Context, remote netip.AddrPort) (net.Conn, error) {
	n.dialed = append(n.dialed, remote.String())
	serve := n.serve[remote.String()]
	if serve == nil {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	go serve(b)
	return pipeEnd{a, netip.MustParseAddrPort("10.0.0.1:40000"), remote}, nil
}

// testProxy lets through whoever says the right words, to one server that it knows by its name.
type testProxy struct {
	server  string
	through func(net.Conn)
}

// httpTunnel speaks HTTP's CONNECT.
func (p *testProxy) httpTunnel(c net.Conn) {
	var header []byte
	for one := make([]byte, 1); !bytes.HasSuffix(header, []byte("\r\n\r\n")); header = append(header, one[0]) {
		if _, err := c.Read(one); err != nil {
			return
		}
	}
	want := fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n", p.server, p.server,
		base64.StdEncoding.EncodeToString([]byte("bob:builder")))
	if string(header) != want {
		_, _ = io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
		_ = c.Close()
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\nVia: 1.1 lab\r\n\r\n")
	p.through(c)
}

// socksTunnel speaks SOCKS 5 with user and password (RFC 1928, RFC 1929).
func (p *testProxy) socksTunnel(c net.Conn) {
	host, port, _ := strings.Cut(p.server, ":")
	var number uint16
	_, _ = fmt.Sscan(port, &number)
	for _, turn := range []struct{ want, answer string }{
		{"\x05\x02\x00\x02", "\x05\x02"},
		{"\x01\x03bob\x07builder", "\x01\x00"},
		{
			"\x05\x01\x00\x03" + string(rune(len(host))) + host + string([]byte{byte(number >> 8), byte(number)}),
			"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
		},
	} {
		got := make([]byte, len(turn.want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != turn.want {
			_ = c.Close()
			return
		}
		_, _ = io.WriteString(c, turn.answer)
	}
	p.through(c)
}

// secretly puts TLS in front.
func secretly(config *tls.Config, serve func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) { serve(tls.Server(c, config)) }
}

// TestServersBehindProxies calls through a TURN server whose name only the proxy knows.
func TestServersBehindProxies(t *testing.T) {
	cert := testCertificate(t)
	secure := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.der}, PrivateKey: cert.key}}}
	for _, c := range []struct{ proxy, server string }{
		{"http://bob:builder@proxy.example:8080", "turn:turn.example?transport=tcp"},
		{"http://bob:builder@10.0.0.8:8080", "turns:turn.example"},
		{"https://bob:builder@10.0.0.8:8443", "turns:turn.example"},
		{"socks5://bob:builder@10.0.0.8", "turn:turn.example?transport=tcp"},
		{"socks5://bob:builder@10.0.0.8", "turns:turn.example"},
	} {
		t.Run(c.proxy[:6]+","+c.server[:5], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := &tcpNetwork{}
				name := "turn.example:3478"
				if strings.HasPrefix(c.server, "turns") {
					name = "turn.example:5349"
				}
				var asked []string
				p := newPair(t, pairOptions{settings: func(who string, s *Settings) {
					if who != "a" {
						return
					}
					network.Network = s.network
					s.network = network
					s.ServerTLS = &tls.Config{InsecureSkipVerify: true} // the certificate has no name
					s.ServerProxy = func(server *url.URL) (*url.URL, error) {
						asked = append(asked, server.String())
						return url.Parse(c.proxy)
					}
				}})
				defer p.close()
				p.net.AddName("proxy.example", "10.0.0.8")
				server := startRelay(t, p.live.Host(p.net.Connect("server", testLink, "10.0.0.9")), "10.0.0.9")
				defer server.close()
				if strings.HasPrefix(c.server, "turns") {
					server.secure = secure
				}
				proxy := &testProxy{server: name, through: func(conn net.Conn) {
					server.serveStream(conn, netip.MustParseAddrPort("10.0.0.8:1234"))
				}}
				network.serve = map[string]func(net.Conn){
					"10.0.0.8:8080": proxy.httpTunnel, "10.0.0.8:8443": secretly(secure, proxy.httpTunnel),
					"10.0.0.8:1080": proxy.socksTunnel,
				}
				config := p.a.GetConfiguration()
				config.ICETransportPolicy = ICETransportPolicyRelay
				config.ICEServers = []ICEServer{{URLs: []string{c.server}, Username: "alice", Credential: "wonderland"}}
				p.must(p.a.SetConfiguration(config))
				a, b := p.dataPair(nil)
				got := make(chan int, 1)
				b.OnMessage(func(m DataChannelMessage) { got <- len(m.Data) })
				p.must(a.Send(make([]byte, 100000)))
				if n := within(p, 10*time.Second, "a message by relay", got); n != 100000 {
					t.Errorf("%d bytes", n)
				}
				if len(asked) != 1 || asked[0] != "https://"+name {
					t.Errorf("asked for the proxies of %q", asked)
				}
				time.Sleep(time.Second)
				if pair := (&ICETransport{p.a}).GetSelectedCandidatePair(); pair == nil || pair.Local.Typ != ICECandidateTypeRelay {
					t.Errorf("selected %+v", pair)
				}
			})
		})
	}
}

// gatherByProxy gathers with one server and returns the errors and the number of candidates.
func gatherByProxy(t *testing.T, server string, settings Settings) (errs []ICECandidateError, candidates int) {
	t.Helper()
	api, err := NewAPI(settings)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := api.NewPeerConnection(Configuration{
		Certificates: []Certificate{testCertificate(t)}, ICETransportPolicy: ICETransportPolicyRelay,
		ICEServers: []ICEServer{{URLs: []string{server}, Username: "alice", Credential: "wonderland"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pc.OnICECandidateError(func(e ICECandidateError) { errs = append(errs, e) })
	pc.OnICECandidate(func(c *ICECandidate) {
		if c != nil {
			candidates++
		}
	})
	if _, err := pc.CreateDataChannel("", nil); err != nil {
		t.Fatal(err)
	}
	complete := GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(SessionDescription{}); err != nil {
		t.Fatal(err)
	}
	<-complete
	if err := pc.Close(); err != nil {
		t.Fatal(err)
	}
	<-pc.Done()
	return errs, candidates
}

func TestProxiesThatDoNotHelp(t *testing.T) {
	for _, c := range []struct {
		proxy string
		fails error
		serve func(net.Conn)
		want  string
	}{
		{proxy: "http://10.0.0.8", want: "connection refused"},
		{proxy: "http://bob:wrong@10.0.0.8", serve: (&testProxy{}).httpTunnel, want: "407 Proxy Authentication Required"},
		{proxy: "socks5://bob:wronger@10.0.0.8", serve: (&testProxy{server: "turn.example:3478"}).socksTunnel, want: "socks"},
		{proxy: "ftp://10.0.0.8", want: "unknown kind of proxy"},
		{proxy: "http://10.0.0.8", serve: func(c net.Conn) { // says no end of things
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for {
				if _, err := c.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
					return
				}
			}
		}, want: "a header without end"},
		{proxy: "http://10.0.0.8", serve: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, want: "no answer"}, // says nothing
		{fails: errors.New("no such script"), want: "no such script"},
	} {
		t.Run(c.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, pairOptions{quiet: true})
				defer p.close()
				network := &tcpNetwork{Network: p.live.Host(p.net.Connect("third", testLink, "10.0.0.3")), serve: map[string]func(net.Conn){}}
				if c.serve != nil {
					network.serve["10.0.0.8:80"], network.serve["10.0.0.8:1080"] = c.serve, c.serve
				}
				errs, candidates := gatherByProxy(t, "turn:turn.example?transport=tcp", Settings{network: network, ServerProxy: func(*url.URL) (*url.URL, error) {
					if c.fails != nil {
						return nil, c.fails
					}
					return url.Parse(c.proxy)
				}})
				if len(errs) != 1 || errs[0].ErrorCode != 701 || !strings.Contains(errs[0].ErrorText, c.want) || candidates != 0 {
					t.Errorf("%d candidates, errors %+v", candidates, errs)
				}
				if strings.Contains(fmt.Sprint(errs), "builder") || strings.Contains(fmt.Sprint(errs), "wrong") {
					t.Errorf("a password in %+v", errs)
				}
			})
		})
	}
}

// Where the function knows of no proxy, the name is looked up here after all, and its addresses are tried in turn.
func TestNoProxyForThisServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, pairOptions{quiet: true})
		defer p.close()
		p.net.AddName("turn.example", "10.0.0.7", "10.0.0.9")
		server := startRelay(t, p.live.Host(p.net.Connect("server", testLink, "10.0.0.9")), "10.0.0.9")
		defer server.close()
		network := &tcpNetwork{Network: p.live.Host(p.net.Connect("third", testLink, "10.0.0.3"))}
		network.serve = map[string]func(net.Conn){"10.0.0.9:3478": func(c net.Conn) {
			server.serveStream(c, netip.MustParseAddrPort("10.0.0.3:1234"))
		}}
		direct := func(*url.URL) (*url.URL, error) { return nil, nil }
		errs, candidates := gatherByProxy(t, "turn:turn.example?transport=tcp", Settings{network: network, ServerProxy: direct})
		if len(errs) != 0 || candidates != 1 || strings.Join(network.dialed, " ") != "10.0.0.7:3478 10.0.0.9:3478" {
			t.Errorf("%d candidates, errors %+v, dialed %v", candidates, errs, network.dialed)
		}
		t.Log("# a name that nobody knows")
		errs, candidates = gatherByProxy(t, "turn:other.example?transport=tcp", Settings{network: network, ServerProxy: direct})
		if len(errs) != 1 || !strings.Contains(errs[0].ErrorText, "no such host") || candidates != 0 {
			t.Errorf("%d candidates, errors %+v", candidates, errs)
		}
	})
}

// A server that nobody can use is no silence: each gathering says so.
func TestSTUNOverTLSIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, pairOptions{quiet: true})
		defer p.close()
		c := p.a.GetConfiguration()
		c.ICEServers = []ICEServer{{URLs: []string{"stuns:stun.example"}}}
		p.must(p.a.SetConfiguration(c))
		var errs []ICECandidateError
		p.a.OnICECandidateError(func(e ICECandidateError) { errs = append(errs, e) })
		_, err := p.a.CreateDataChannel("", nil)
		p.must(err)
		complete := GatheringCompletePromise(p.a)
		p.must(p.a.SetLocalDescription(SessionDescription{}))
		<-complete
		if len(errs) != 1 || errs[0].URL != "stuns:stun.example" || errs[0].ErrorCode != 701 || !strings.Contains(errs[0].ErrorText, "TLS") {
			t.Errorf("%+v", errs)
		}
		if servers := iceServers(c.ICEServers, false); len(servers) != 1 || servers[0].Kind != ice.ServerSTUN {
			t.Errorf("%+v", servers)
		}
	})
}
