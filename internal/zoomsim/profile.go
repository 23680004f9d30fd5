package zoomsim

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// profile is the documented body of GET /v2/users/me. What the emulator has no opinion on is present with a plausible
// constant, so that a reader of the full shape is exercised.
type profile struct {
	ID                string        `json:"id"`
	FirstName         string        `json:"first_name"`
	LastName          string        `json:"last_name"`
	DisplayName       string        `json:"display_name"`
	Email             string        `json:"email"`
	Type              int           `json:"type"` // 2: licensed
	RoleName          string        `json:"role_name"`
	RoleID            string        `json:"role_id"`
	PMI               int64         `json:"pmi"`
	UsePMI            bool          `json:"use_pmi"`
	PersonalMeeting   string        `json:"personal_meeting_url"`
	VanityURL         string        `json:"vanity_url"`
	Timezone          string        `json:"timezone"`
	Verified          int           `json:"verified"`
	Dept              string        `json:"dept"`
	CreatedAt         string        `json:"created_at"`
	UserCreatedAt     string        `json:"user_created_at"`
	LastLoginTime     string        `json:"last_login_time"`
	LastClientVersion string        `json:"last_client_version"`
	PicURL            string        `json:"pic_url"`
	CMSUserID         string        `json:"cms_user_id"`
	JID               string        `json:"jid"`
	GroupIDs          []string      `json:"group_ids"`
	IMGroupIDs        []string      `json:"im_group_ids"`
	DivisionIDs       []string      `json:"division_ids"`
	AccountID         string        `json:"account_id"`
	AccountNumber     int64         `json:"account_number"`
	Language          string        `json:"language"`
	PhoneNumbers      []phoneNumber `json:"phone_numbers"`
	Status            UserStatus    `json:"status"`
	JobTitle          string        `json:"job_title"`
	Company           string        `json:"company"`
	Location          string        `json:"location"`
	Manager           string        `json:"manager"`
	CostCenter        string        `json:"cost_center"`
	EmployeeUniqueID  string        `json:"employee_unique_id"`
	LoginTypes        []int         `json:"login_types"` // 100: work e-mail and password
	CustomAttributes  []attribute   `json:"custom_attributes"`
	PlanUnitedType    string        `json:"plan_united_type"`
	LicenseInfoList   []license     `json:"license_info_list"`
	Pronouns          string        `json:"pronouns"`
	PronounsOption    int           `json:"pronouns_option"`
	Cluster           string        `json:"cluster"`
	ZoomOneType       int           `json:"zoom_one_type"`
}

type phoneNumber struct {
	Country  string `json:"country"`
	Code     string `json:"code"`
	Number   string `json:"number"`
	Verified bool   `json:"verified"`
	Label    string `json:"label"`
}

type attribute struct {
	Key   string `json:"key"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

type license struct {
	Type string `json:"license_type"`
}

func newProfile(u *User) profile {
	first, last, _ := strings.Cut(u.DisplayName, " ")
	_, domain, _ := strings.Cut(u.Email, "@")
	pmi := stableNumber(u.ID)
	number := strconv.FormatInt(pmi, 10)
	created := zoomTime(u.CreatedAt)
	return profile{
		ID: u.ID, AccountID: u.AccountID, AccountNumber: stableNumber(u.AccountID),
		Email: u.Email, FirstName: first, LastName: last, DisplayName: u.DisplayName,
		Type: 2, Status: u.Status, RoleName: "Member", RoleID: "2",
		PMI: pmi, PersonalMeeting: "https://zoom.us/j/" + number,
		Timezone: "UTC", Language: "en-US", Company: domain,
		Verified: 1, LoginTypes: []int{100},
		CreatedAt: created, UserCreatedAt: created, LastLoginTime: zoomTime(u.LastLogin),
		LastClientVersion: "6.5.0.0(win)", JID: strings.ToLower(u.ID) + "@xmpp.zoom.us",
		GroupIDs: []string{}, IMGroupIDs: []string{}, DivisionIDs: []string{},
		PhoneNumbers: []phoneNumber{}, CustomAttributes: []attribute{}, LicenseInfoList: []license{},
		PronounsOption: 1, Cluster: "us02", PlanUnitedType: "1", ZoomOneType: 16,
	}
}

// zoomTime formats t the way Zoom's user objects do: UTC, whole seconds.
func zoomTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// stableNumber returns ten digits, the shape of a personal meeting id, that depend on key alone.
func stableNumber(key string) int64 {
	sum := sha256.Sum256([]byte(key))
	return 1_000_000_000 + int64(binary.BigEndian.Uint64(sum[:8])%9_000_000_000)
}
