// The rules of a normalizer as SentencePiece compiles them, which llama.cpp reads: a double array of the UTF-8 bytes of what is
// replaced, and the replacements. llama.cpp replaces the longest beginning of the text that has a rule.
// @source Kudo and Richardson 2018 (SentencePiece); the double array is that of Darts-clone

/** Places of characters: those of the planes that have any. */
const planes = [
  [1, 0xd7ff],
  [0xe000, 0x3ffff],
  [0xe0000, 0xe0fff],
] as const

/**
 * What a normalizer does to single characters, and to those that are composed of others in all the ways that Unicode has
 * for it in their usual order. Marks in another order have no rule.
 */
const rulesOf = (normalize: (text: string) => string): Map<string, string> => {
  const rules = new Map<string, string>()
  const add = (text: string) => {
    const replaced = normalize(text)
    if (replaced !== text) rules.set(text, replaced)
  }
  for (const [first, last] of planes)
    for (let code = first; code <= last; code++) {
      const character = String.fromCodePoint(code)
      add(character)
      const parts = Array.from(character.normalize('NFD'))
      // With the first parts in one character, as texts have them that were composed in part.
      for (let count = 1; count < parts.length; count++) {
        const start = parts.slice(0, count).join('').normalize('NFC')
        if (count === 1 || Array.from(start).length === 1) add(start + parts.slice(count).join(''))
      }
    }
  return rules
}

interface Node {
  /** Offset of the replacement. */
  value?: number
  children: Map<number, Node>
}

const trieOf = (entries: Iterable<[string, number]>): Node => {
  const root: Node = { children: new Map() }
  for (const [text, value] of entries) {
    let node = root
    for (const byte of Buffer.from(text, 'utf8')) {
      const next = node.children.get(byte) ?? { children: new Map<number, Node>() }
      node.children.set(byte, next)
      node = next
    }
    node.value = value
  }
  return root
}

/** The units of the double array: a child is at the base of its parent xor its byte. */
class DoubleArray {
  #units = new Uint32Array(1 << 12)
  #taken = new Uint8Array(1 << 12)
  #bases = new Set<number>()
  #free = 1

  constructor(root: Node) {
    this.#taken[0] = 1
    // Wide nodes first within a level: narrow ones fit between them.
    let level: [Node, number][] = [[root, 0]]
    while (level.length > 0) {
      level.sort(([a], [b]) => b.children.size - a.children.size)
      level = level.flatMap(([node, at]) => this.#place(node, at))
    }
  }

  /** Whole blocks of 256 units, so that no byte leads outside. */
  get units(): Uint32Array {
    const last = this.#taken.lastIndexOf(1)
    return this.#units.slice(0, (Math.floor(last / 256) + 1) * 256)
  }

  /** @returns the children with their places */
  #place(node: Node, at: number): [Node, number][] {
    const labels = [...(node.value === undefined ? [] : [0]), ...node.children.keys()]
    const base = this.#baseFor(labels)
    this.#bases.add(base)
    for (const label of labels) this.#taken[base ^ label] = 1
    while (this.#taken[this.#free] === 1) this.#free++
    this.#units[at] |= (base ^ at) << 10
    if (node.value !== undefined) {
      this.#units[at] |= 1 << 8
      this.#units[base] = (node.value | (1 << 31)) >>> 0
    }
    return [...node.children].map(([label, child]) => {
      this.#units[base ^ label] = label
      return [child, base ^ label]
    })
  }

  #baseFor(labels: readonly number[]): number {
    for (let place = this.#free; ; place++) {
      if (place + 256 > this.#taken.length) this.#grow()
      if (this.#taken[place] === 1) continue
      const base = place ^ labels[0]
      if (!this.#bases.has(base) && labels.every((label) => this.#taken[base ^ label] === 0)) return base
    }
  }

  #grow(): void {
    const [units, taken] = [new Uint32Array(2 * this.#units.length), new Uint8Array(2 * this.#units.length)]
    units.set(this.#units)
    taken.set(this.#taken)
    ;[this.#units, this.#taken] = [units, taken]
  }
}

/** `tokenizer.ggml.precompiled_charsmap` of a normalizer. */
export const compileCharsmap = (normalize: (text: string) => string): Uint8Array => {
  const offsets = new Map<string, number>()
  const replacements: Buffer[] = []
  let length = 0
  const entries = [...rulesOf(normalize)].map(([text, replacement]): [string, number] => {
    const known = offsets.get(replacement)
    if (known !== undefined) return [text, known]
    const bytes = Buffer.from(`${replacement}\0`, 'utf8')
    offsets.set(replacement, length)
    replacements.push(bytes)
    length += bytes.length
    return [text, length - bytes.length]
  })
  if (entries.length === 0) return new Uint8Array()
  const { units } = new DoubleArray(trieOf(entries))
  const header = Buffer.alloc(4)
  header.writeUInt32LE(units.byteLength)
  return Buffer.concat([header, Buffer.from(units.buffer, units.byteOffset, units.byteLength), ...replacements])
}
