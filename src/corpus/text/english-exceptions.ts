// English words that the affix rules of words.ts would split wrongly: contractions, abbreviations, emoticons. The set
// is that of spaCy's English tokenizer, so that word counts agree.

const both = (words: readonly string[]): string[] =>
  words.flatMap((word) => [word, word[0].toUpperCase() + word.slice(1)])

const pronouns = ['i', 'you', 'he', 'she', 'it', 'we', 'they']
const questions = ['who', 'what', 'when', 'where', 'why', 'how', 'there', 'that', 'this', 'these', 'those']
const plural = new Set(['these', 'those'])
const singular = new Set(['that', 'this'])
const auxiliaries = 'ca could do does did had may might must need ought sha should wo would'.split(' ')
const modals = 'could might must should would'.split(' ')
const negatable = 'ai are is was were have has dare'.split(' ')

/** Real words that look like a contraction without its apostrophe. */
const ordinary = 'Ill ill Its its Hell hell Shell shell Shed shed were Were Well well Whore whore'.split(' ')

const whole = `
  doin doin' Doin Doin' goin goin' Goin Goin' nothin nothin' Nothin Nothin' nuthin nuthin' Nuthin Nuthin' ol ol' Ol Ol'
  somethin somethin' Somethin Somethin' lovin lovin' Lovin Lovin' havin havin' Havin Havin' em 'em ll 'll nuff 'nuff
  'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am o'clock O'clock 'd
  Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan.
  Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa.
  S.C. Sep. Sept. Tenn. Va. Wash. Wis. a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E.
  Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. — ' \\") <space> ''
  C++ a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. ä. ö. ü. \\t \\n`

const emoticons = `
  :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-((
  :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o
  :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_-
  -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.)
  (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>`

const collect = (): Map<string, readonly string[]> => {
  const table = new Map<string, readonly string[]>()
  /** Adds `head` + each tail, with the apostrophes and without them. */
  const contract = (head: string, ...tails: string[]) => {
    table.set(head + tails.join(''), [head, ...tails])
    const bare = tails.map((tail) => tail.replaceAll("'", ''))
    table.set(head + bare.join(''), [head, ...bare])
  }
  for (const word of both(['i'])) {
    contract(word, "'m")
    contract(word, "'m", 'a')
  }
  for (const word of both(pronouns)) {
    contract(word, "'ll")
    contract(word, "'ll", "'ve")
    contract(word, "'d")
    contract(word, "'d", "'ve")
  }
  for (const word of both(['i', 'you', 'we', 'they'])) contract(word, "'ve")
  for (const word of both(['you', 'we', 'they'])) contract(word, "'re")
  for (const word of both(['he', 'she', 'it'])) contract(word, "'s")
  for (const question of questions) {
    for (const word of both([question])) {
      if (!plural.has(question)) contract(word, "'s")
      contract(word, "'ll")
      contract(word, "'ll", "'ve")
      if (!singular.has(question)) {
        contract(word, "'re")
        contract(word, "'ve")
      }
      contract(word, "'d")
      contract(word, "'d", "'ve")
    }
  }
  for (const word of both(auxiliaries)) {
    contract(word, "n't")
    contract(word, "n't", "'ve")
  }
  for (const word of both(modals)) contract(word, "'ve")
  for (const word of both(negatable)) contract(word, "n't")
  for (let hour = 1; hour <= 12; hour++) {
    for (const half of ['a.m.', 'am', 'p.m.', 'pm']) table.set(`${hour}${half}`, [String(hour), half])
  }
  for (const head of ["y'", 'y']) table.set(`${head}all`, [head, 'all'])
  for (const [head, tail] of [
    ['can', 'not'],
    ['gon', 'na'],
    ['got', 'ta'],
    ['let', "'s"],
    ["c'm", 'on'],
    ['not', "'ve"],
    ['not', 've'],
  ]) {
    for (const word of both([head])) table.set(word + tail, [word, tail])
  }
  for (const word of both(['how'])) table.set(`${word}'d'y`, [word, "'d", "'y"])
  for (const word of `${whole} ${emoticons}`.split(/\s+/)) if (word !== '') table.set(word, [word])
  for (const unit of 'cfkCFK') table.set(`°${unit}.`, ['°', unit, '.'])
  for (const word of ordinary) table.delete(word)
  for (const [word, parts] of [...table]) {
    if (word.includes("'"))
      table.set(
        word.replaceAll("'", '’'),
        parts.map((part) => part.replaceAll("'", '’')),
      )
  }
  return table
}

/** Words of each exception. */
export const englishExceptions: ReadonlyMap<string, readonly string[]> = collect()
