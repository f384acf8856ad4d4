// Traits of HTML elements that affect text, as bits, the end tags that authors may omit, and the context of text in a page
// by the elements around it: hidden, boilerplate, main content, link or code.

export const isBlock = 1
export const isVoid = 2
export const isHidden = 4
const isBoilerplate = 8
const isContainer = 16
export const isHeading = 32
export const isCell = 64
const isMain = 128

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

export const inHidden = 1
export const inBoilerplate = 2
export const inMain = 4
export const inLink = 8
export const inCode = 16

// Names of containers that are not content, as whole words of class and id.
const boilerplateName = new RegExp(
  '(?:^|[\\s"\'_-])(?:nav|navbar|navigation|navbox|menu|menubar|sidebar|side-?bar|footer|footnav|breadcrumbs?|cookies?|consent|gdpr|' +
    'share|sharing|sharebar|social|related|recommended|comments?|commentlist|disqus|advert|advertisement|ads?|adsense|promo|promoted|' +
    'sponsor|sponsored|subscribe|newsletter|pagination|pager|toolbar|masthead|popup|modal|overlay|widget|widgets|signup|login|' +
    'catlinks|printfooter|toc|skip-?link|skip|site-?map|copyright|legal|tagcloud|tags|dropdown|topbar|taglist|byline-?share|' +
    'mw-portlet|mw-indicators|editsection|noprint|siteSub|contentSub|jump-to-nav|banner)(?:$|[\\s"\'_-])',
  'i',
)
const hiddenName =
  /(?:^|[\s"'_-])(?:sr-only|screen-reader-text|visually-?hidden|mw-editsection|hidden|visuallyhidden|offscreen)(?:$|[\s"'])/i
const attribute = /([a-z][a-z-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi
const roleBoilerplate =
  /^(?:navigation|banner|contentinfo|complementary|search|menu|menubar|dialog|alert|toolbar|tablist)$/i
const hiddenStyle = /display\s*:\s*none|visibility\s*:\s*hidden/i

/** Shorter attributes are not read: no class, id, role or style fits in them. */
const minAttributesLength = 6

/** The context inside an element; its attributes are `html` from `start` to `end`. */
export const contextInside = (
  name: string,
  traits: number,
  parent: number,
  html: string,
  start: number,
  end: number,
): number => {
  let context = parent
  if (traits & isHidden) context |= inHidden
  if (traits & isMain) context = (context | inMain) & ~inBoilerplate
  else if (traits & isBoilerplate) context |= inBoilerplate
  else if (name === 'header' && !(parent & inMain)) context |= inBoilerplate
  if (name === 'a' && html.slice(start, end).includes('href')) context |= inLink
  else if (name === 'pre' || name === 'listing') context |= inCode
  if (end - start >= minAttributesLength && traits & (isContainer | isMain))
    return contextOfAttributes(html.slice(start, end), context, traits, name)
  return context
}

/** The context by the class, id, role and style of an element. */
const contextOfAttributes = (attributes: string, context: number, traits: number, element: string): number => {
  let own = context
  if (/\bhidden\b/i.test(attributes) && /(?:^|\s)hidden(?:\s|=|$|\/)/i.test(attributes)) own |= inHidden
  attribute.lastIndex = 0
  for (let match = attribute.exec(attributes); match !== null; match = attribute.exec(attributes)) {
    const value = match[2] ?? match[3] ?? match[4] ?? ''
    const name = match[1].toLowerCase()
    if (name === 'class' || name === 'id') {
      if (hiddenName.test(value) || (element === 'sup' && value === 'reference')) own |= inHidden
      else if (
        !(traits & isMain) &&
        element !== 'p' &&
        element !== 'h2' &&
        element !== 'h3' &&
        boilerplateName.test(value)
      ) {
        own |= inBoilerplate
      }
    } else if (name === 'role') {
      if (value === 'main' || value === 'article') own = (own | inMain) & ~inBoilerplate
      else if (roleBoilerplate.test(value)) own |= inBoilerplate
    } else if (name === 'style') {
      if (hiddenStyle.test(value)) own |= inHidden
    } else if (name === 'aria-hidden' && value === 'true') own |= inHidden
  }
  return own
}
