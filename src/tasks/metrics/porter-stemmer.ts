// Porter's stemmer for English words in lower case, with NLTK's extensions, as rouge-score uses it.
// @source Porter 1980, An algorithm for suffix stripping; nltk.stem.porter, mode NLTK_EXTENSIONS

const irregular = new Map([
  ['sky', 'sky'],
  ['skies', 'sky'],
  ['dying', 'die'],
  ['lying', 'lie'],
  ['tying', 'tie'],
  ['news', 'news'],
  ['innings', 'inning'],
  ['inning', 'inning'],
  ['outings', 'outing'],
  ['outing', 'outing'],
  ['cannings', 'canning'],
  ['canning', 'canning'],
  ['howe', 'howe'],
  ['proceed', 'proceed'],
  ['exceed', 'exceed'],
  ['succeed', 'succeed'],
])

/** The shape of a stem, letter by letter: true for a consonant. A y is one unless a consonant comes before it. */
const consonants = (stem: string): boolean[] => {
  const shape: boolean[] = []
  for (let i = 0; i < stem.length; i++) {
    const letter = stem[i]
    shape.push(letter === 'y' ? i === 0 || !shape[i - 1] : !'aeiou'.includes(letter))
  }
  return shape
}

/** Porter's m: how often a consonant follows a vowel. */
const measure = (stem: string): number => {
  const shape = consonants(stem)
  let count = 0
  for (let i = 1; i < shape.length; i++) if (shape[i] && !shape[i - 1]) count++
  return count
}

const hasVowel = (stem: string): boolean => consonants(stem).includes(false)

/** Consonant, vowel and a consonant other than w, x, y at the end; or a vowel and a consonant as the whole. */
const endsShort = (stem: string): boolean => {
  const shape = consonants(stem)
  const at = stem.length - 1
  if (at === 1) return !shape[0] && shape[1]
  return at >= 2 && shape[at - 2] && !shape[at - 1] && shape[at] && !'wxy'.includes(stem[at])
}

type Rule = readonly [ending: string, replacement: string]

/** The first rule whose ending the word has decides, whether its condition on the stem holds or not. */
const applied = (word: string, rules: readonly Rule[], holds: (stem: string, ending: string) => boolean): string => {
  for (const [ending, replacement] of rules) {
    if (!word.endsWith(ending)) continue
    const stem = word.slice(0, word.length - ending.length)
    return holds(stem, ending) ? stem + replacement : word
  }
  return word
}

const always = () => true
const plurals: readonly Rule[] = [
  ['sses', 'ss'],
  ['ies', 'i'],
  ['ss', 'ss'],
  ['s', ''],
]

const withoutPlural = (word: string): string =>
  word.endsWith('ies') && word.length === 4 ? word.slice(0, -1) : applied(word, plurals, always)

const withoutPast = (word: string): string => {
  if (word.endsWith('ied')) return word.length === 4 ? word.slice(0, -1) : word.slice(0, -2)
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word
  const ending = ['ed', 'ing'].find((each) => word.endsWith(each) && hasVowel(word.slice(0, -each.length)))
  if (ending === undefined) return word
  const stem = word.slice(0, -ending.length)
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`
  const last = stem[stem.length - 1]
  if (stem.length >= 2 && last === stem[stem.length - 2] && consonants(stem)[stem.length - 1])
    return 'lsz'.includes(last) ? stem : stem.slice(0, -1)
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem
}

const withPlainY = (word: string): string => {
  const stem = word.slice(0, -1)
  return word.endsWith('y') && stem.length > 1 && consonants(stem)[stem.length - 1] ? `${stem}i` : word
}

const doubleEndings: readonly Rule[] = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['izer', 'ize'],
  ['bli', 'ble'],
  ['alli', 'al'],
  ['entli', 'ent'],
  ['eli', 'e'],
  ['ousli', 'ous'],
  ['ization', 'ize'],
  ['ation', 'ate'],
  ['ator', 'ate'],
  ['alism', 'al'],
  ['iveness', 'ive'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['aliti', 'al'],
  ['iviti', 'ive'],
  ['biliti', 'ble'],
  ['fulli', 'ful'],
  ['logi', 'log'],
]

const withSingleEnding = (word: string): string => {
  if (word.endsWith('alli') && measure(word.slice(0, -4)) > 0) return withSingleEnding(word.slice(0, -2))
  // The l of -logi counts as part of the stem, so that short ones such as "theo" are enough.
  return applied(word, doubleEndings, (stem, ending) => measure(ending === 'logi' ? `${stem}l` : stem) > 0)
}

const adjectives: readonly Rule[] = [
  ['icate', 'ic'],
  ['ative', ''],
  ['alize', 'al'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ful', ''],
  ['ness', ''],
]

const lastEndings = 'al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize'
  .split(' ')
  .map((ending): Rule => [ending, ''])

const withoutLastEnding = (word: string): string =>
  applied(word, lastEndings, (stem, ending) => measure(stem) > 1 && (ending !== 'ion' || /[st]$/.test(stem)))

const withoutE = (word: string): string => {
  if (!word.endsWith('e')) return word
  const stem = word.slice(0, -1)
  const size = measure(stem)
  return size > 1 || (size === 1 && !endsShort(stem)) ? stem : word
}

const withSingleL = (word: string): string =>
  word.endsWith('ll') && measure(word.slice(0, -1)) > 1 ? word.slice(0, -1) : word

/** Words of one or two letters stay. */
export const stemmed = (word: string): string => {
  const known = irregular.get(word)
  if (known !== undefined) return known
  if (word.length <= 2) return word
  const plain = withPlainY(withoutPast(withoutPlural(word)))
  const stem = applied(withSingleEnding(plain), adjectives, (each) => measure(each) > 0)
  return withSingleL(withoutE(withoutLastEnding(stem)))
}
