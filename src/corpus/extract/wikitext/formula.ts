// Readable plain text of the TeX in <math>: Greek letters, operators, fractions, powers. It is not a TeX parser:
// unknown commands become their names.

const symbols: Record<string, string> = {
  alpha: 'α',
  beta: 'β',
  gamma: 'γ',
  delta: 'δ',
  epsilon: 'ε',
  varepsilon: 'ε',
  zeta: 'ζ',
  eta: 'η',
  theta: 'θ',
  vartheta: 'ϑ',
  iota: 'ι',
  kappa: 'κ',
  lambda: 'λ',
  mu: 'μ',
  nu: 'ν',
  xi: 'ξ',
  pi: 'π',
  rho: 'ρ',
  sigma: 'σ',
  tau: 'τ',
  upsilon: 'υ',
  phi: 'φ',
  varphi: 'φ',
  chi: 'χ',
  psi: 'ψ',
  omega: 'ω',
  Gamma: 'Γ',
  Delta: 'Δ',
  Theta: 'Θ',
  Lambda: 'Λ',
  Xi: 'Ξ',
  Pi: 'Π',
  Sigma: 'Σ',
  Phi: 'Φ',
  Psi: 'Ψ',
  Omega: 'Ω',
  times: '×',
  cdot: '·',
  div: '÷',
  pm: '±',
  mp: '∓',
  le: '≤',
  leq: '≤',
  ge: '≥',
  geq: '≥',
  ne: '≠',
  neq: '≠',
  approx: '≈',
  equiv: '≡',
  sim: '∼',
  propto: '∝',
  infty: '∞',
  sum: '∑',
  prod: '∏',
  int: '∫',
  oint: '∮',
  partial: '∂',
  nabla: '∇',
  in: '∈',
  notin: '∉',
  subset: '⊂',
  subseteq: '⊆',
  supset: '⊃',
  cup: '∪',
  cap: '∩',
  emptyset: '∅',
  varnothing: '∅',
  forall: '∀',
  exists: '∃',
  neg: '¬',
  land: '∧',
  wedge: '∧',
  lor: '∨',
  vee: '∨',
  to: '→',
  rightarrow: '→',
  leftarrow: '←',
  Rightarrow: '⇒',
  Leftarrow: '⇐',
  leftrightarrow: '↔',
  Leftrightarrow: '⇔',
  iff: '⇔',
  implies: '⇒',
  mapsto: '↦',
  ldots: '…',
  cdots: '⋯',
  dots: '…',
  vdots: '⋮',
  circ: '∘',
  degree: '°',
  prime: '′',
  hbar: 'ħ',
  ell: 'ℓ',
  Re: 'Re',
  Im: 'Im',
  angle: '∠',
  perp: '⊥',
  parallel: '∥',
  langle: '⟨',
  rangle: '⟩',
  lfloor: '⌊',
  rfloor: '⌋',
  lceil: '⌈',
  rceil: '⌉',
  mid: '|',
  vert: '|',
  Vert: '‖',
  oplus: '⊕',
  otimes: '⊗',
  quad: ' ',
  qquad: ' ',
  ast: '∗',
  star: '⋆',
  bullet: '•',
  aleph: 'ℵ',
  ll: '≪',
  gg: '≫',
  cong: '≅',
  setminus: '∖',
  colon: ':',
  backslash: '\\',
  lbrace: '{',
  rbrace: '}',
}

const accents: Record<string, string> = {
  bar: '\u0304',
  overline: '\u0304',
  hat: '\u0302',
  tilde: '\u0303',
  vec: '\u20d7',
  dot: '\u0307',
  ddot: '\u0308',
}

const dropped = new Set(
  (
    'left right big Big bigg Bigg displaystyle textstyle scriptstyle limits nolimits rm mathrm mathbf mathit mathsf mathtt mathbb ' +
    'mathcal mathfrak text textrm textbf textit mbox operatorname boldsymbol bf it vec hat bar tilde overline underline ' +
    'dot ddot widehat widetilde overrightarrow begin end hline nonumber'
  ).split(' '),
)

/** Renders TeX as one line of text. */
export const formulaText = (tex: string): string => {
  let text = tex
    .slice(0, 20_000)
    .replace(/\\(begin|end)\s*\{[^}]*\}(\{[^}]*\})?/g, ' ')
    .replace(/\\[dt]?frac\s*([A-Za-z\d])\s*([A-Za-z\d])/g, '$1/$2')
    .replace(
      /\\(bar|overline|hat|tilde|vec|dot|ddot)\s*(?:\{\s*([A-Za-z])\s*\}|([A-Za-z])(?![A-Za-z]))/g,
      (_, accent, a, b) => (a ?? b) + accents[accent],
    )
  for (let round = 0; round < 6; round++) {
    const before = text
    text = text
      .replace(/\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, (_, over, under) => `${grouped(over)}/${grouped(under)}`)
      .replace(/\\[dt]?binom\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, 'C($1, $2)')
      .replace(/\\sqrt\s*\{([^{}]*)\}/g, '√($1)')
      .replace(/([_^])\{([^{}]*)\}/g, (_, mark, inside) => (inside.length === 1 ? mark + inside : `${mark}(${inside})`))
      .replace(/\\[a-zA-Z]+\s*\{([^{}\\]*)\}/g, (whole, inside) =>
        dropped.has(/[a-zA-Z]+/.exec(whole)?.[0] ?? '') ? inside : whole,
      )
    if (text === before) break
  }
  return text
    .replace(/\\([a-zA-Z]+)/g, (_, name) =>
      Object.hasOwn(symbols, name) ? symbols[name] : dropped.has(name) ? '' : ` ${name} `,
    )
    .replace(/\\[\\,;:! ]/g, ' ')
    .replace(/&/g, ' ')
    .replace(/\\(.)/g, '$1')
    .replace(/[{}]/g, '')
    .replace(/\s+/g, ' ')
    .replace(/\( | (?=\))/g, (space) => space.trim())
    .trim()
}

const grouped = (part: string): string => (/^[\w.∞π]*$/.test(part.trim()) ? part.trim() : `(${part.trim()})`)

const raised: Record<string, string> = { '-': '⁻', '−': '⁻', '–': '⁻', '+': '⁺' }

/** A short number as superscript characters, so that 10<sup>7</sup> does not become 107; other text unchanged. */
export const superscript = (text: string): string => {
  if (!/^[−–+-]?\d{1,4}$/.test(text)) return text
  return text.replace(/./gu, (character) => raised[character] ?? '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(character)])
}
