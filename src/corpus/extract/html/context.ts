// The context of text in a page, as bits: hidden, boilerplate, main content, link or code, by the elements around it.
import { isBoilerplate, isContainer, isHidden, isMain } from './elements.ts'

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
