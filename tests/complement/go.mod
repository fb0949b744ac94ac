// The module that runs Complement, Matrix's acceptance suite, at one version: see docs/testing.md.
module myelin/tests/complement

go 1.25.0

require github.com/matrix-org/complement v0.0.0-20260701165844-50044edb68c3
