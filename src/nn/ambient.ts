// A value that reaches all code which runs within a call, without being passed on: the masks of a forward pass, for instance.

/** A value that is another one while some synchronous code runs. */
export class Ambient<Value> {
  value: Value

  constructor(value: Value) {
    this.value = value
  }

  /** Runs `body` with another value. */
  during<Result>(value: Value, body: () => Result): Result {
    const before = this.value
    this.value = value
    try {
      return body()
    } finally {
      this.value = before
    }
  }
}
