// Package complement pins the version of Complement that scripts/complement runs by import path.
package complement

import _ "github.com/matrix-org/complement"
