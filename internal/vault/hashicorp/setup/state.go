package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// state is the content of Options.KeyFile.
type state struct {
	// UnsealKey is the one share, as Vault gave it in base64.
	UnsealKey string `json:"unseal_key,omitempty"`
	// Configured is true once everything was made and the root token revoked.
	Configured bool `json:"configured"`
}

// loadState reads the file; one that is not there is the zero state.
func loadState(path string) (state, error) {
	var s state
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the unseal key: %w", err)
	}
	if json.Unmarshal(text, &s) != nil { // the error would quote the key
		return s, fmt.Errorf("reading the unseal key: %s is damaged", path)
	}
	return s, nil
}

func (s state) save(path string) error {
	text, err := json.Marshal(s)
	if err == nil {
		err = writePrivate(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keeping the unseal key: %w", err)
	}
	return nil
}

// writePrivate replaces a file as a whole, readable by its owner alone, durably before it returns.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
