// Texts that exports are compared on when the caller gives none: several scripts, numbers, code and white space.

const builtIn = [
  'The quick brown fox jumps over the lazy dog, and then it runs 12 miles home.',
  "It isn't what you'd expect: prices rose by 3.14% in 2024, didn't they?",
  'def add(a, b):\n    return a + b\n\nprint(add(1, 22))  # 23',
  'Größe, café, naïve — “quotes”, and an ellipsis…',
  'Привет, мир! 你好，世界。 こんにちは。',
  'one  two   three\n\n\tfour',
]

/** Texts of at most a few hundred characters, without empty ones. */
export const proofTexts = (given: readonly string[] | undefined): readonly string[] => {
  const texts = (given ?? []).map((text) => text.trim()).filter((text) => text !== '')
  return (texts.length > 0 ? texts.slice(0, 16) : builtIn).map((text) => text.slice(0, 600))
}
