// Names and roles, as the contract bounds and numbers them. Pure.
import { ViewerRole } from "../../gen/proto/enroute/v1/transfers_pb";

export const NAME_CHARS_MAX = 64;

export const roles = ["viewer", "wall", "clinician", "on_call"] as const;
export type Role = (typeof roles)[number];

const NUMBERS: Readonly<Record<Role, ViewerRole>> = {
  viewer: ViewerRole.VIEWER,
  wall: ViewerRole.WALL,
  clinician: ViewerRole.CLINICIAN,
  on_call: ViewerRole.ON_CALL,
};

export function roleNumber(role: Role): ViewerRole {
  return NUMBERS[role];
}

/** The role that the address asks for, as in `/?role=wall`. */
export function roleOf(search: string): Role | null {
  const asked = new URLSearchParams(search).get("role");
  return roles.find((role) => role === asked) ?? null;
}
