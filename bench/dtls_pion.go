package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	pion "github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

// pionDTLS is a pair of pion's connections, DTLS 1.2 with dtls12's parameters: it has no other version.
type pionDTLS struct {
	client, server *pion.Conn
}

// connectPion returns what makes pairs.
func connectPion(seen func([]byte)) connectDTLS {
	return func(client, server identity) (dtlsPair, error) { return newPionDTLS(client, server, seen) }
}

func newPionDTLS(client, server identity, seen func([]byte)) (dtlsPair, error) {
	clientPipe, serverPipe := newPacketPipe(seen)
	var clientOptions []pion.ClientOption
	for _, o := range pionOptions(client, server) {
		clientOptions = append(clientOptions, o)
	}
	serverOptions := []pion.ServerOption{
		pion.WithClientAuth(pion.RequireAnyClientCert),
		pion.WithInsecureSkipVerifyHello(true), // no cookie
	}
	for _, o := range pionOptions(server, client) {
		serverOptions = append(serverOptions, o)
	}
	var pair pionDTLS
	var err error
	if pair.server, err = pion.ServerWithOptions(serverPipe, pipeAddr{}, serverOptions...); err != nil {
		return nil, err
	}
	if pair.client, err = pion.ClientWithOptions(clientPipe, pipeAddr{}, clientOptions...); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- pair.server.Handshake() }()
	err = pair.client.Handshake()
	return pair, errors.Join(err, <-done)
}

func pionOptions(own, peer identity) []pion.Option {
	return []pion.Option{
		pion.WithCertificates(tls.Certificate{Certificate: [][]byte{own.der}, PrivateKey: own.key}),
		pion.WithCipherSuites(pion.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
		pion.WithEllipticCurves(elliptic.X25519, elliptic.P256),
		pion.WithSRTPProtectionProfiles(pion.SRTP_AEAD_AES_128_GCM),
		pion.WithExtendedMasterSecret(pion.RequireExtendedMasterSecret),
		pion.WithInsecureSkipVerify(true), // there are no authorities; the fingerprint is compared below
		pion.WithVerifyPeerCertificate(func(chain [][]byte, _ [][]*x509.Certificate) error { return peer.verify(chain) }),
	}
}

func (p pionDTLS) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// pionRecords is what pion's connections call for every record, without the connection around it: the header, its
// DTLS 1.2 record protection with AES-128-GCM, and no replay window.
func pionRecords() (sealOpen, error) {
	key, iv := make([]byte, 16), make([]byte, 4)
	gcm, err := ciphersuite.NewGCM(key, iv, key, iv)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, recordlayer.FixedHeaderSize+recordSize)
	record := recordlayer.RecordLayer{Header: recordlayer.Header{
		ContentType: protocol.ContentTypeApplicationData,
		Version:     protocol.Version1_2,
		Epoch:       1,
	}}
	return func() error {
		record.Header.SequenceNumber++
		header, err := record.Header.Marshal()
		if err != nil {
			return err
		}
		copy(raw, header)
		binary.BigEndian.PutUint16(raw[recordlayer.FixedHeaderSize-2:], recordSize)
		sealed, err := gcm.Encrypt(&record, raw)
		if err != nil {
			return err
		}
		opened, err := gcm.Decrypt(recordlayer.Header{}, sealed)
		if err == nil && len(opened) != len(raw) {
			return fmt.Errorf("%d bytes, want %d", len(opened), len(raw))
		}
		return err
	}, nil
}
