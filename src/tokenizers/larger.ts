// Typed arrays cannot grow, so a longer copy takes their place.

type Growing =
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>

/** A copy of `length` elements; those beyond the old length are 0. */
export const larger = <Values extends Growing>(old: Values, length: number): Values => {
  const copy = new (old.constructor as new (length: number) => Values)(length)
  copy.set(old)
  return copy
}
