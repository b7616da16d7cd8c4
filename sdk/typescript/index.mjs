// A client of Skep's socket, with nothing but node:net. Methods are made from Skep's own tables (`calls`); how
// lines go over the socket is in `client`. What Skep refuses is thrown as `Refused`, with its code and hint.
export { Client, Refused, defaultSocket } from "./client.mjs";
export { Calls } from "./calls.mjs";
