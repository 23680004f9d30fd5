package oauth

import (
	"bytes"
	"encoding/json"
)

// salvage returns the members of a JSON object that is cut off or followed by rubbish, as far as they are whole. A token
// answer of which both tokens have arrived is a rotated grant in hand, whatever became of the rest: to call it unreadable
// would lose the grant. Where either is missing there is nothing to go by, and nil is returned.
//
// A string is whole by its closing quote. Any other value at the very end is not: 3600 may have been cut to 36.
func salvage(body []byte) map[string]json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(body))
	if opening, err := dec.Token(); err != nil || opening != json.Delim('{') {
		return nil
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			break
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			break
		}
		if key, ok := name.(string); ok && (value[0] == '"' || dec.InputOffset() < int64(len(body))) {
			fields[key] = value
		}
	}
	if text(fields["access_token"]) == "" || text(fields["refresh_token"]) == "" {
		return nil
	}
	return fields
}
