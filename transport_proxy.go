package webrtc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/proxy"

	"github.com/openparley/webrtc/ice"
	"github.com/openparley/webrtc/internal/netio"
)

// thisNetwork holds the addresses that stand for servers known by their names.
var thisNetwork = netip.MustParsePrefix("0.0.0.0/8")

// reach connects to a server by TCP, through a proxy if there is one. Whoever is at the other end, packets come from the
// address that ICE knows the server by.
func (t *transport) reach(ctx context.Context, d streamDialer, e ice.EventDial) (net.Conn, error) {
	unnamed := thisNetwork.Contains(e.Remote.Addr())
	server := e.Remote.String()
	if unnamed {
		server = net.JoinHostPort(e.Host, strconv.Itoa(int(e.Remote.Port())))
	}
	var through *url.URL
	if t.settings.ServerProxy != nil {
		var err error
		if through, err = t.settings.ServerProxy(&url.URL{Scheme: "https", Host: server}); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	var conn net.Conn
	var err error
	switch {
	case through != nil:
		conn, err = t.connectProxy(ctx, d, through, server)
	case unnamed:
		conn, err = d.DialContext(ctx, "tcp", server)
	default:
		return d.dialer.DialTCP(ctx, e.Remote)
	}
	if err != nil {
		return nil, err
	}
	return placedConn{conn, e.Remote}, nil
}

// placedConn is a connection whose other end has the address that it is known by.
type placedConn struct {
	net.Conn
	remote netip.AddrPort
}

func (c placedConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// streamDialer connects to names; it is a proxy.ContextDialer.
type streamDialer struct {
	network netio.Network
	dialer  netio.StreamDialer
}

// Dial implements proxy.Dialer.
func (d streamDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext implements proxy.ContextDialer. The addresses of a name are tried in their order.
func (d streamDialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q", service)
	}
	addrs := make([]netip.Addr, 1)
	if addrs[0], err = netip.ParseAddr(host); err != nil {
		if addrs, err = d.network.Resolve(ctx, host); err != nil {
			return nil, err
		}
	}
	failed := fmt.Errorf("%s has no address", host)
	for _, addr := range addrs {
		conn, err := d.dialer.DialTCP(ctx, netip.AddrPortFrom(addr, uint16(port)))
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

var errProxyScheme = errors.New("unknown kind of proxy")

// connectProxy has a proxy connect to a server, host and port.
func (t *transport) connectProxy(ctx context.Context, d streamDialer, through *url.URL, server string) (net.Conn, error) {
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[through.Scheme]
	if port == "" {
		return nil, fmt.Errorf("%w: %q", errProxyScheme, through.Scheme)
	}
	if through.Port() != "" {
		port = through.Port()
	}
	address := net.JoinHostPort(through.Hostname(), port)
	if strings.HasPrefix(through.Scheme, "socks5") {
		var auth *proxy.Auth
		if user := through.User; user != nil {
			auth = &proxy.Auth{User: user.Username()}
			auth.Password, _ = user.Password()
		}
		socks, err := proxy.SOCKS5("tcp", address, auth, d)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", server) // documented to be one
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	if through.Scheme == "https" {
		config := t.serverTLS("")
		config.ServerName, config.NextProtos = through.Hostname(), nil
		conn = tls.Client(conn, config)
	}
	if err := requestTunnel(ctx, conn, server, through.User); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return conn, nil
}

// requestTunnel asks an HTTP proxy for a connection to a server (RFC 9110, section 9.3.6), and returns when there is one.
func requestTunnel(ctx context.Context, conn net.Conn, server string, user *url.Userinfo) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	request := "CONNECT " + server + " HTTP/1.1\r\nHost: " + server + "\r\n"
	if user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	_, err := conn.Write([]byte(request + "\r\n"))
	var status string
	if err == nil {
		status, err = readStatus(conn)
	}
	switch {
	case !stop():
		return context.Cause(ctx)
	case err != nil:
		return err
	case len(status) < 12 || !strings.HasPrefix(status, "HTTP/1.") || status[8:10] != " 2":
		return fmt.Errorf("no tunnel: %.100q", status)
	}
	return nil
}

// maxProxyHeader bounds what a proxy may say.
const maxProxyHeader = 16 << 10

var errProxyHeader = errors.New("a header without end")

// readStatus reads the header of a response and returns its first line. It reads byte by byte: what is behind the header
// is the server's.
func readStatus(conn net.Conn) (string, error) {
	var header []byte
	for one := make([]byte, 1); !bytes.HasSuffix(header, []byte("\r\n\r\n")); {
		if _, err := conn.Read(one); err != nil {
			return "", err
		}
		if header = append(header, one[0]); len(header) > maxProxyHeader {
			return "", errProxyHeader
		}
	}
	status, _, _ := strings.Cut(string(header), "\r\n")
	return status, nil
}
