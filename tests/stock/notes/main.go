// Reads the checkpoints and proofs of an archive with the libraries that other transparency logs
// are read with:
//
//	notes ORIGIN LOG-KEY.pem ARCHIVE
//
// Prints a line for each checkpoint and proof that holds; exits with 1 at the first that does not.
package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/formats/log"
	tlogproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: notes ORIGIN LOG-KEY.pem ARCHIVE")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(origin, keyFile, archive string) error {
	verifier, err := readVerifier(origin, keyFile)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	names, err := filepath.Glob(filepath.Join(archive, "checkpoints", "*"))
	if err != nil {
		return err
	}
	for _, name := range append(names, filepath.Join(archive, "checkpoint")) {
		if err := checkCheckpoint(name, origin, verifier, archive); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	proofs, err := filepath.Glob(filepath.Join(archive, "receipts", "*.tlog-proof"))
	if err != nil {
		return err
	}
	for _, name := range proofs {
		if err := checkProof(name, origin, verifier, archive); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func readVerifier(origin, keyFile string) (note.Verifier, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	encoded, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(encoded)
}

func checkCheckpoint(name, origin string, verifier note.Verifier, archive string) error {
	bytes, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if _, err := note.Open(bytes, note.VerifierList(verifier)); err != nil {
		return err
	}
	checkpoint, rest, _, err := log.ParseCheckpoint(bytes, origin, verifier)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return fmt.Errorf("extension lines: %q", rest)
	}
	root, err := logRoot(archive, checkpoint.Size)
	if err != nil {
		return err
	}
	if string(root) != string(checkpoint.Hash) {
		return fmt.Errorf("root is %x and the log's is %x", checkpoint.Hash, root)
	}
	place, err := filepath.Rel(archive, name)
	if err != nil {
		return err
	}
	fmt.Printf("%s size %d\n", place, checkpoint.Size)
	return nil
}

func checkProof(name, origin string, verifier note.Verifier, archive string) error {
	bytes, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var read tlogproof.TLogProof
	if err := read.Unmarshal(bytes); err != nil {
		return err
	}
	checkpoint, _, _, err := log.ParseCheckpoint(read.Checkpoint, origin, verifier)
	if err != nil {
		return err
	}
	leaf, err := leafHash(archive, read.Index)
	if err != nil {
		return err
	}
	hashes := make([][]byte, 0, len(read.Hashes))
	for _, hash := range read.Hashes {
		hashes = append(hashes, hash[:])
	}
	err = proof.VerifyInclusion(
		rfc6962.DefaultHasher, read.Index, checkpoint.Size, leaf, hashes, checkpoint.Hash)
	if err != nil {
		return err
	}
	place, err := filepath.Rel(archive, name)
	if err != nil {
		return err
	}
	fmt.Printf("%s index %d size %d\n", place, read.Index, checkpoint.Size)
	return nil
}

func leafHash(archive string, index uint64) ([]byte, error) {
	statement, err := os.ReadFile(filepath.Join(archive, "log", fmt.Sprintf("%010d.json", index)))
	if err != nil {
		return nil, err
	}
	return rfc6962.DefaultHasher.HashLeaf(statement), nil
}

func logRoot(archive string, size uint64) ([]byte, error) {
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	log := factory.NewEmptyRange(0)
	for index := range size {
		leaf, err := leafHash(archive, index)
		if err != nil {
			return nil, err
		}
		if err := log.Append(leaf, nil); err != nil {
			return nil, err
		}
	}
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	return log.GetRootHash(nil)
}
