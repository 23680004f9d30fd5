package page

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/google/uuid"

	"github.com/tokenkeep/tokenkeep/internal/errs"
)

// List names a list in its cursors, so that a cursor of one list is refused by another.
type List byte

// The lists. Their letters are in cursors that callers keep: they never change.
const (
	Connections List = 'c'
	Apps        List = 'a'
	Keys        List = 'k'
	Tenants     List = 't'
)

// Field is what a list is ordered by.
type Field byte

// The fields. Their letters are in cursors, too.
const (
	// Created orders by id alone: ids are UUIDv7, whose order is that of creation.
	Created Field = 'c'
	// Updated orders by the time of the last change, then by id.
	Updated Field = 'u'
)

// String is the contract's name of the field.
func (f Field) String() string {
	if f == Updated {
		return "UPDATED_AT"
	}
	return "CREATED_AT"
}

// Order is a list and an order of it.
type Order struct {
	List  List
	Field Field
	Desc  bool
}

// Key is a row's place in an order.
type Key struct {
	// At is the time of the last change; unused where the order is by id alone.
	At time.Time
	ID uuid.UUID
}

// version is the first byte of every cursor.
const version = 1

var encoding = base64.RawURLEncoding.Strict()

// Cursor returns the key as an opaque text: version, list, field, time where the field needs it, id, and a checksum that
// tells a damaged cursor from another place in the list.
func (o Order) Cursor(k Key) string {
	b := make([]byte, 0, 31)
	b = append(b, version, byte(o.List), byte(o.Field))
	if o.Field == Updated {
		b = binary.BigEndian.AppendUint64(b, uint64(k.At.UnixNano())) //nolint:gosec // both ways keep all bits
	}
	b = append(b, k.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return encoding.EncodeToString(b)
}

// parse is the inverse of Cursor; nil stays nil. Errors: BAD_USER_INPUT on the argument.
func (o Order) parse(argument string, text *string) (*Key, error) {
	if text == nil {
		return nil, nil
	}
	field, list, payload, ok := split(*text)
	switch {
	case !ok:
		return nil, errs.Input(argument, "%s is not a cursor: pass on what a page's startCursor or endCursor said, unchanged", argument)
	case list != o.List:
		return nil, errs.Input(argument, "%s is a cursor of another list", argument)
	case field != o.Field:
		return nil, errs.Input(argument, "%s is a cursor of the list ordered by %s, and this one is ordered by %s: begin again without it", argument, field, o.Field)
	}
	k := &Key{ID: uuid.UUID(payload[len(payload)-16:])}
	if field == Updated {
		k.At = time.Unix(0, int64(binary.BigEndian.Uint64(payload))).UTC() //nolint:gosec // see Cursor
	}
	return k, nil
}

// split undoes the encoding and checks all that does not depend on what was asked. Of several texts that would decode to
// the same bytes (the decoder skips line breaks) only one is a cursor.
func split(text string) (Field, List, []byte, bool) {
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) < 7 || b[0] != version || encoding.EncodeToString(b) != text {
		return 0, 0, nil, false
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	list, field, payload := List(b[1]), Field(b[2]), body[3:]
	length, known := map[Field]int{Created: 16, Updated: 24}[field]
	return field, list, payload, known && len(payload) == length && binary.BigEndian.Uint32(sum) == crc32.ChecksumIEEE(body)
}
