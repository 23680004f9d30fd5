package vault

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// formatV1 is the first byte of everything sealed here and is bound to it: a later format cannot be passed off as this one.
const formatV1 = 1

// Kinds keep the two sorts of ciphertext apart even where all their other fields are alike.
const (
	kindRecord = "record"
	kindValue  = "value"
)

// recordData is the associated data of a token set: what it is, whose, where and which.
func recordData(ref Ref, h Header) []byte {
	return associate(
		[]byte{formatV1}, []byte(kindRecord), []byte(PurposeTokenSet),
		id(ref.Tenant), id(ref.Connection),
		binary.BigEndian.AppendUint64(nil, uint64(h.Generation)), id(h.Attempt), []byte(h.Origin),
	)
}

// valueData is the associated data of everything else that is sealed.
func valueData(p Place) []byte {
	return associate([]byte{formatV1}, []byte(kindValue), []byte(p.Purpose), id(p.Tenant), id(p.Object))
}

// associate joins the fields so that no two lists of fields give the same bytes: each is preceded by its length.
func associate(fields ...[]byte) []byte {
	var out []byte
	for _, f := range fields {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	return out
}

func id(u uuid.UUID) []byte { return u[:] }
