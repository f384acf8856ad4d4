// Writes the kinds of protobuf fields that the messages of TensorBoard and W&B need.

/** A message that is being built, by the field numbers of its .proto file. Callers leave out fields at their default. */
export class ProtoMessage {
  readonly #bytes: number[] = []

  /** int32, int64, bool, enum: not negative here. */
  varint(field: number, value: number): this {
    this.#varint(field * 8)
    this.#varint(value)
    return this
  }

  double(field: number, value: number): this {
    const data = Buffer.alloc(8)
    data.writeDoubleLE(value)
    return this.#fixed(field, 1, data)
  }

  float(field: number, value: number): this {
    const data = Buffer.alloc(4)
    data.writeFloatLE(value)
    return this.#fixed(field, 5, data)
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, 'utf8'))
  }

  message(field: number, value: ProtoMessage): this {
    return this.bytes(field, value.encoded())
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint(field * 8 + 2)
    this.#varint(value.length)
    for (const byte of value) this.#bytes.push(byte)
    return this
  }

  encoded(): Buffer {
    return Buffer.from(this.#bytes)
  }

  #fixed(field: number, wire: number, data: Buffer): this {
    this.#varint(field * 8 + wire)
    for (const byte of data) this.#bytes.push(byte)
    return this
  }

  #varint(value: number): void {
    // Division instead of shifts: step counts may pass 2^31.
    let rest = value
    while (rest >= 128) {
      this.#bytes.push((rest % 128) | 128)
      rest = Math.floor(rest / 128)
    }
    this.#bytes.push(rest)
  }
}
