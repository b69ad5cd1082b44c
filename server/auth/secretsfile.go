package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	secretsVersion  = 1
	minSecretBytes  = 32
	maxSecretsBytes = 64 << 10
	maxLine         = 4096 // of ReadPrivateLine, in bytes
)

// secretsFile is the JSON form of the secrets file. It is the only type of the package that
// marshals the secrets themselves.
type secretsFile struct {
	Version      int          `json:"version"`
	SigningKeys  [][]byte     `json:"signing_keys"` // seeds; the first one signs
	Peppers      []pepperFile `json:"peppers"`      // the first one is current
	BankCallback []byte       `json:"bank_callback_secret"`
	BankToken    []byte       `json:"bank_token"`
}

type pepperFile struct {
	ID  string `json:"id"`
	Key []byte `json:"key"`
}

func (f secretsFile) secrets() Secrets {
	s := Secrets{BankCallback: NewSecret(f.BankCallback), BankToken: NewSecret(f.BankToken)}
	for _, seed := range f.SigningKeys {
		s.SigningKeys = append(s.SigningKeys, NewSecret(seed))
	}
	for _, p := range f.Peppers {
		s.PepperKeys = append(s.PepperKeys, Pepper{ID: p.ID, Key: NewSecret(p.Key)})
	}
	return s
}

func readSecrets(path string) (secretsFile, error) {
	file, err := openPrivate(path)
	if err != nil {
		return secretsFile{}, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxSecretsBytes+1))
	if err != nil {
		return secretsFile{}, fmt.Errorf("auth: read %s: %w", path, err)
	}
	if len(raw) > maxSecretsBytes {
		return secretsFile{}, fmt.Errorf("auth: %s is larger than %d bytes", path, maxSecretsBytes)
	}
	var stored secretsFile
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&stored); err != nil {
		// The decoder's error may quote the file.
		return secretsFile{}, fmt.Errorf("auth: %s is not a secrets file", path)
	}
	if stored.Version != secretsVersion {
		return secretsFile{}, fmt.Errorf("auth: %s has version %d, this program supports %d", path, stored.Version, secretsVersion)
	}
	if err := stored.secrets().check(); err != nil {
		return secretsFile{}, fmt.Errorf("%s: %w", path, err)
	}
	return stored, nil
}

// openPrivate opens a regular file that only its owner may read. The check before opening
// avoids blocking on a FIFO. The check afterwards, of the opened file, detects that the file
// was replaced in between.
func openPrivate(path string) (*os.File, error) {
	seen, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("auth: stat %s: %w", path, err)
	}
	if err := refusePublic(path, seen); err != nil {
		return nil, err
	}
	if err := refusePublicDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("auth: open %s: %w", path, err)
	}
	opened, err := file.Stat()
	if err == nil && !os.SameFile(seen, opened) {
		err = fmt.Errorf("auth: %s was replaced while it was opened", path)
	}
	if err == nil {
		err = refusePublic(path, opened)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// ReadPrivateLine returns the first line of a file that only its owner may read, such as a
// password.
func ReadPrivateLine(path string) (Secret, error) {
	file, err := openPrivate(path)
	if err != nil {
		return Secret{}, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxLine+1))
	if err != nil {
		return Secret{}, fmt.Errorf("auth: read %s: %w", path, err)
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 || len(raw) > maxLine {
		return Secret{}, fmt.Errorf("auth: %s must contain one line of at most %d bytes", path, maxLine)
	}
	return NewSecret(line), nil
}

func refusePublicDir(path string) error {
	dir, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("auth: stat the directory %s: %w", path, err)
	}
	if dir.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("auth: others may write to %s (mode %04o) and so replace the secrets in it; run: chmod 700 %s", path, dir.Mode().Perm(), path)
	}
	return nil
}

func refusePublic(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return fmt.Errorf("auth: %s is a symbolic link; name the secrets file itself", path)
	case !mode.IsRegular():
		return fmt.Errorf("auth: %s is not a regular file", path)
	case mode.Perm()&0o077 != 0:
		return fmt.Errorf("auth: others may read the secrets in %s (mode %04o); run: chmod 600 %s", path, mode.Perm(), path)
	}
	return nil
}

// createSecrets writes a temporary file in the same directory and then links it to path. A
// reader sees the complete file or none. Of two concurrent callers one gets [fs.ErrExist].
func createSecrets(path string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := refusePublicDir(dir); err != nil { // serve would refuse the file
		return err
	}
	temp, err := writeTemp(dir, freshSecrets())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(temp)) }()
	if err := os.Link(temp, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeTemp writes f to a new file with mode 0600 in dir, and syncs it.
func writeTemp(dir string, f secretsFile) (name string, err error) {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(dir, ".secrets-*") // O_EXCL, mode 0600
	if err != nil {
		return "", err
	}
	_, err = temp.Write(append(text, '\n'))
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temp.Name()))
	}
	return temp.Name(), nil
}

// syncDir makes the new directory entry durable: without the pepper, after a power failure, no
// user could log in.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// replaceSecrets replaces the secrets file at path atomically: a reader sees the old file or
// the new one.
func replaceSecrets(path string, f secretsFile) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("auth: write the secrets file %s: %w", path, err)
		}
	}()
	if err := f.secrets().check(); err != nil {
		return err
	}
	old, err := os.Lstat(path)
	if err != nil {
		return err
	}
	temp, err := writeTemp(filepath.Dir(path), f)
	if err != nil {
		return err
	}
	if err = keepOwner(temp, old); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}
