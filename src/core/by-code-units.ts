// The one order of texts: by their UTF-16 code units, as `sort` has it and the same for every user and machine. The order
// of `localeCompare` depends on the language of the user.

/** Compares two texts for `sort`. */
export const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
