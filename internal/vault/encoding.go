package vault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/google/uuid"
)

// The first byte tells what an encoding is of, the second its format.
const (
	magicRecord = 'R'
	magicValue  = 'V'
)

// Bounds of the encodings, in bytes.
const (
	maxOrigin     = 32
	maxWrapped    = 4 << 10
	maxCiphertext = 1 << 20
)

// MarshalBinary encodes the record for escrow and for stores that keep bytes: 'R', format, generation (8 bytes),
// attempt (16), origin (1-byte length), key version (4), wrapped key (2-byte length), ciphertext (4-byte length), all
// big-endian. A record has exactly one encoding. Errors: ErrInvalid (a record that SealRecord cannot have made).
func (r Record) MarshalBinary() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	out := []byte{magicRecord, formatV1}
	out = binary.BigEndian.AppendUint64(out, uint64(r.Generation))
	out = append(out, r.Attempt[:]...)
	out = append(out, byte(len(r.Origin)))
	out = append(out, r.Origin...)
	out = appendKey(out, r.Key)
	out = binary.BigEndian.AppendUint32(out, uint32(len(r.Ciphertext)))
	return append(out, r.Ciphertext...), nil
}

// UnmarshalBinary decodes what MarshalBinary wrote and nothing else; it keeps no reference to data and leaves r alone
// where it fails. Errors: ErrCorrupt.
func (r *Record) UnmarshalBinary(data []byte) error {
	d := decoder{rest: data}
	d.header(magicRecord)
	var got Record
	got.Generation = int64(d.uint64())
	copy(got.Attempt[:], d.take(len(uuid.Nil)))
	got.Origin = string(d.take(int(d.uint8())))
	got.Key = d.key()
	got.Ciphertext = bytes.Clone(d.take(int(d.uint32())))
	if err := d.end(); err != nil {
		return fmt.Errorf("decoding a record: %w", err)
	}
	if err := got.check(); err != nil {
		return fmt.Errorf("decoding a record: %w: %v", ErrCorrupt, err)
	}
	*r = got
	return nil
}

// check refuses records that SealRecord cannot have made.
func (r Record) check() error {
	if err := r.Header.check(); err != nil {
		return err
	}
	if err := r.Key.check(); err != nil {
		return err
	}
	if len(r.Ciphertext) < overhead || len(r.Ciphertext) > maxCiphertext {
		return fmt.Errorf("%w: a ciphertext of %d bytes", ErrInvalid, len(r.Ciphertext))
	}
	return nil
}

// check refuses headers without order or owner.
func (h Header) check() error {
	switch {
	case h.Generation < 1:
		return fmt.Errorf("%w: generation %d", ErrInvalid, h.Generation)
	case h.Attempt == uuid.Nil:
		return fmt.Errorf("%w: a header without attempt", ErrInvalid)
	case len(h.Origin) == 0 || len(h.Origin) > maxOrigin:
		return fmt.Errorf("%w: an origin of %d bytes", ErrInvalid, len(h.Origin))
	}
	return nil
}

// check refuses refs that name nothing.
func (r Ref) check() error {
	if r.Tenant == uuid.Nil || r.Connection == uuid.Nil {
		return fmt.Errorf("%w: a reference without tenant or connection", ErrInvalid)
	}
	return nil
}

// check refuses wrapped keys that no store can have made.
func (w WrappedKey) check() error {
	if w.Version < 1 || w.Version > math.MaxInt32 || len(w.Bytes) == 0 || len(w.Bytes) > maxWrapped {
		return fmt.Errorf("%w: a wrapped key of version %d and %d bytes", ErrInvalid, w.Version, len(w.Bytes))
	}
	return nil
}

func appendKey(out []byte, w WrappedKey) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(w.Version))
	out = binary.BigEndian.AppendUint16(out, uint16(len(w.Bytes)))
	return append(out, w.Bytes...)
}

// decoder reads an encoding; after the first fault it yields zeros, and end reports the fault.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) header(magic byte) {
	if d.uint8() != magic || d.uint8() != formatV1 {
		d.bad = true
	}
}

func (d *decoder) key() WrappedKey {
	version := d.uint32()
	w := WrappedKey{Version: int(version), Bytes: bytes.Clone(d.take(int(d.uint16())))}
	if w.check() != nil {
		d.bad = true
	}
	return w
}

func (d *decoder) uint8() uint8   { return d.number(1)[0] }
func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.number(2)) }
func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.number(4)) }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.number(8)) }

func (d *decoder) number(n int) []byte {
	if b := d.take(n); b != nil {
		return b
	}
	return make([]byte, n)
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// end reports a fault, and bytes left over as one. Errors: ErrCorrupt.
func (d *decoder) end() error {
	if d.bad || len(d.rest) != 0 {
		return fmt.Errorf("%w: malformed encoding", ErrCorrupt)
	}
	return nil
}
