/** The file that lists the state folder's roots. */
import { z } from "zod";

const time = z.number().int().nonnegative();

const entry = z.object({
  file: z.string().regex(/^ca_(?:user|host|x509)_\d{1,6}$/),
  signsFrom: time,
  retiresAt: time.optional(),
});

/** Content of `ca_roots.json`: for each kind the roots, oldest first. Times are milliseconds since 1970. */
export const rootListSchema = z.object({
  user: z.array(entry),
  host: z.array(entry),
  x509: z.array(entry),
});
