// Package servicetest is the test kit: real databases, and whatever else tests of several packages need.
//
// Mechanism: the first test of a process that wants PostgreSQL starts a server on a socket of its own, and every test gets
// a copy of a database that was migrated once. SQLite's file is copied the same way. Nothing is ever skipped: a machine
// without PostgreSQL fails, and says what to install.
//
// Limit: the server forgets everything at once when the process ends; durability is tested elsewhere.
package servicetest
