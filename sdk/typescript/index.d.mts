export { Client, Refused, defaultSocket } from "./client.mjs";
export type { Note, Options } from "./client.mjs";
export * from "./calls.mjs";
