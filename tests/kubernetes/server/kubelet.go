package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

// standIn answers /configz with a file, as a kubelet does, and everything else with 404. A kubelet
// itself needs a container runtime, which a test machine does not have; what is tested is the way
// through the API server's node proxy, with its permissions, and the shape of the answer.
//
// Arguments: the address to listen on, the file.
func standIn(arguments []string) {
	if len(arguments) != 2 {
		log.Fatal("kubelet-stand-in ADDRESS FILE")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "system:node:stand-in"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	handler := http.NewServeMux()
	handler.HandleFunc("/configz", func(w http.ResponseWriter, _ *http.Request) {
		body, err := os.ReadFile(arguments[1])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
	server := http.Server{
		Addr:    arguments[0],
		Handler: handler,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{
			Certificate: [][]byte{certificate},
			PrivateKey:  key,
		}}},
	}
	log.Fatal(server.ListenAndServeTLS("", ""))
}
