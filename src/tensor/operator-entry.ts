// The form of an entry in methods.ts and functions.ts; operator.ts turns it into a function.

/** Any function type. */
// biome-ignore lint/suspicious/noExplicitAny: parameters of any signature are assignable to it
export type AnySignature = (...values: any[]) => unknown

/** An entry: the overloads that it may call, and the TypeScript signature of the call. */
export interface OperatorEntry<Signature extends AnySignature> {
  readonly overloads: readonly string[]
  /** Never set: it carries the type. */
  readonly signature?: Signature
}

/** The TypeScript signatures of a table of entries, with the entries' docstrings. */
export type SignaturesOf<Table> = {
  [Name in keyof Table]: Table[Name] extends OperatorEntry<infer Signature> ? Signature : never
}

/**
 * Creates an entry. An overload is written `namespace::name.overload(arg, *option, -unused)` with every argument of the schema
 * in its order: plain ones are positional, `*` ones are keys of the options object, `-` ones keep the schema's default.
 */
export const entry = <Signature extends AnySignature>(...overloads: string[]): OperatorEntry<Signature> => ({
  overloads,
})
