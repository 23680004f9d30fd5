// Package architecture holds no code of the product: its tests prove the rules that the layout rests on.
//
// Mechanism: "go list" says what each package imports and the syntax trees say what it calls; both are compared with
// explicit tables (table_test.go). A package that is not in the table fails the test, so that nobody adds a wall, or a
// door in one, without saying so in the same change.
//
// The deployment files are held to the same kind of rules: docker-compose.yml is loaded as Docker Compose would load it.
//
// Limit: test files are not examined, and only the files that build on this system are.
package architecture
