/** DNS names as they stand in certificates: as everywhere. */
export { isDnsName } from "../bytes/dns_name.ts";
