// Legal basis and consent by the words of the contract, and which are in force. Pure.
import { Consent, LegalBasis, type Identity, type Statement } from "../../gen/proto/enroute/v1/identity_pb";

export const BASES = {
  consent: LegalBasis.CONSENT,
  vital_interests: LegalBasis.VITAL_INTERESTS,
  health_care: LegalBasis.HEALTH_CARE,
  public_health: LegalBasis.PUBLIC_HEALTH,
  legal_obligation: LegalBasis.LEGAL_OBLIGATION,
} as const;
export const CONSENTS = {
  given: Consent.GIVEN,
  refused: Consent.REFUSED,
  withdrawn: Consent.WITHDRAWN,
  unable: Consent.UNABLE,
} as const;
export type BasisWord = keyof typeof BASES;
export type ConsentWord = keyof typeof CONSENTS;

export interface InForce<Word> {
  readonly word: Word;
  readonly statement: Statement;
}

function newest<Word extends string>(
  identity: Identity,
  says: "legalBasis" | "consent",
  words: Readonly<Record<Word, number>>,
): InForce<Word> | null {
  for (const statement of identity.statement.toReversed()) {
    if (statement.says.case !== says) continue;
    const said = statement.says.value;
    const word = (Object.keys(words) as Word[]).find((one) => words[one] === said);
    if (word) return { word, statement };
  }
  return null;
}

/** The legal basis in force: the one stated last. */
export function basis(identity: Identity): InForce<BasisWord> | null {
  return newest(identity, "legalBasis", BASES);
}

/** The consent in force: the one stated last. */
export function consent(identity: Identity): InForce<ConsentWord> | null {
  return newest(identity, "consent", CONSENTS);
}
