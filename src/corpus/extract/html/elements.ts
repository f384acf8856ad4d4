// Traits of HTML elements that affect text, as bits, and the end tags that authors may omit.

export const isBlock = 1
export const isVoid = 2
export const isHidden = 4
export const isBoilerplate = 8
export const isContainer = 16
export const isHeading = 32
export const isCell = 64
export const isMain = 128

const elementTraits = new Map<string, number>()
const declare = (names: string, bits: number) => {
  for (const name of names.split(' ')) elementTraits.set(name, (elementTraits.get(name) ?? 0) | bits)
}
declare(
  'address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer form',
  isBlock,
)
declare(
  'h1 h2 h3 h4 h5 h6 header hgroup hr html li main menu nav ol p pre section summary table tbody tfoot thead tr ul',
  isBlock,
)
declare('caption legend optgroup option td th listing plaintext search video audio head', isBlock)
declare('area base br col embed hr img input link meta param source track wbr frame basefont bgsound keygen', isVoid)
declare(
  'script style template noscript svg math select button textarea iframe object canvas video audio applet datalist',
  isHidden,
)
declare('noembed noframes map dialog rp title', isHidden)
declare('nav aside footer menu search', isBoilerplate)
declare(
  'div section ul ol table td aside nav header footer form dl span sup p a details figure iframe h2 h3',
  isContainer,
)
declare('h1 h2 h3 h4 h5 h6', isHeading)
declare('td th', isCell)
declare('main article', isMain)

/** The traits of an element as bits; 0 for inline and unknown elements. */
export const traitsOf = (name: string): number => elementTraits.get(name) ?? 0

/** Elements that a start tag of the same name ends. */
const endedBySameName = new Set('p li tr option dt dd a td th'.split(' '))

/** Whether a start tag ends the innermost open element `top`, whose end tag authors may omit. */
export const endsElement = (name: string, traits: number, top: string | undefined): boolean => {
  if (top === name) return endedBySameName.has(name)
  if (top === 'p') return (traits & isBlock) !== 0
  if (traits & isCell) return top === 'td' || top === 'th'
  return (name === 'dd' && top === 'dt') || (name === 'dt' && top === 'dd')
}
