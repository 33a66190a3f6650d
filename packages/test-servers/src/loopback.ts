/** Nothing in this package listens anywhere else. */
export const LOOPBACK = '127.0.0.1'
