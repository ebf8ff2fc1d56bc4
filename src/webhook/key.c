/*-------------------------------------------------------------------------
 *
 * key.c
 *	  A key that webhooks are checked with, parsed once.
 *
 * HMAC is made of its two hashes, each begun with the key's pad: beginning
 * again is a copy of the state, where HMAC's own interface hashes both pads for
 * every message.
 *
 * IDENTIFICATION
 *	  src/webhook/key.c
 *
 *-------------------------------------------------------------------------
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "codec/base64.h"
#include "webhook/key.h"

#define DIGEST_BYTES	32
#define BLOCK_BYTES		64
#define SPKI_MAX		512
#define SECRET_MAX		512

struct RfKey
{
	RfSignKind	kind;
	EVP_MD_CTX *inner;			/* HMAC: the hashes after their pads */
	EVP_MD_CTX *outer;
	EVP_PKEY   *public;			/* ECDSA, ED25519 */
	EVP_PKEY_CTX *verify;		/* ECDSA: ready for any number of digests */
	unsigned char secret[DIGEST_BYTES]; /* RF_SIGN_SECRET: its digest */
};

static bool make(RfKey *key, RfScheme scheme, const char *text, size_t len);
static bool make_hmac(RfKey *key, const unsigned char *secret, size_t len);
static EVP_MD_CTX *begin_pad(const unsigned char *block, unsigned char pad);
static bool make_ecdsa(RfKey *key, const char *text, size_t len);
static bool make_standard(RfKey *key, const char *text, size_t len);
static bool made_hmac(const RfKey *key, const RfSigned *what);
static bool made_ecdsa(const RfKey *key, const RfSigned *what);
static bool made_ed25519(const RfKey *key, const RfSigned *what);
static bool is_secret(const RfKey *key, const RfSigned *what);
static const EVP_MD *sha256(void);
static EVP_MD_CTX *scratch(void);

RfKey *
rf_key_make(RfScheme scheme, const char *text, size_t len)
{
	RfKey	   *key = calloc(1, sizeof(RfKey));

	if (key != NULL && (len == 0 || !make(key, scheme, text, len)))
	{
		rf_key_free(key);
		key = NULL;
	}
	ERR_clear_error();
	return key;
}

void
rf_key_free(RfKey *key)
{
	if (key == NULL)
		return;
	EVP_MD_CTX_free(key->inner);
	EVP_MD_CTX_free(key->outer);
	EVP_PKEY_CTX_free(key->verify);
	EVP_PKEY_free(key->public);
	OPENSSL_cleanse(key, sizeof(RfKey));
	free(key);
}

bool
rf_key_verifies(const RfKey *key, const RfSigned *what)
{
	bool		made = false;

	switch (key->kind)
	{
		case RF_SIGN_HMAC:
			made = made_hmac(key, what);
			break;
		case RF_SIGN_ECDSA:
			made = made_ecdsa(key, what);
			break;
		case RF_SIGN_ED25519:
			made = made_ed25519(key, what);
			break;
		case RF_SIGN_SECRET:
			made = is_secret(key, what);
			break;
	}
	if (!made)
		ERR_clear_error();
	return made;
}

bool
rf_key_digest(const RfText *parts, size_t nparts, unsigned char *digest)
{
	EVP_MD_CTX *ctx = scratch();

	if (ctx == NULL || EVP_DigestInit_ex2(ctx, sha256(), NULL) != 1)
		return false;
	for (size_t i = 0; i < nparts; i++)
		if (parts[i].len > 0 && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
			return false;
	return EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
}

static bool
make(RfKey *key, RfScheme scheme, const char *text, size_t len)
{
	RfText		whole;

	whole.data = text;

	whole.len = len;
	switch (scheme)
	{
		case RF_SCHEME_NONE:
			key->kind = RF_SIGN_SECRET;
			return rf_key_digest(&whole, 1, key->secret);
		case RF_SCHEME_STRIPE:
		case RF_SCHEME_MAILGUN:
			return make_hmac(key, (const unsigned char *) text, len);
		case RF_SCHEME_SENDGRID:
			return make_ecdsa(key, text, len);
		case RF_SCHEME_STANDARD:
			return make_standard(key, text, len);
	}
	return false;				/* keep compiler quiet */
}

static bool
make_hmac(RfKey *key, const unsigned char *secret, size_t len)
{
	unsigned char block[BLOCK_BYTES] = {0};
	RfText		whole = {(const char *) secret, len};

	key->kind = RF_SIGN_HMAC;
	if (len > BLOCK_BYTES)
	{
		if (!rf_key_digest(&whole, 1, block))
			return false;
	}
	else
		memcpy(block, secret, len);
	key->inner = begin_pad(block, 0x36);
	key->outer = begin_pad(block, 0x5c);
	OPENSSL_cleanse(block, sizeof(block));
	return key->inner != NULL && key->outer != NULL;
}

static EVP_MD_CTX *
begin_pad(const unsigned char *block, unsigned char pad)
{
	unsigned char padded[BLOCK_BYTES];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		begun;

	for (int i = 0; i < BLOCK_BYTES; i++)
		padded[i] = block[i] ^ pad;
	begun = ctx != NULL && EVP_DigestInit_ex2(ctx, sha256(), NULL) == 1 &&
		EVP_DigestUpdate(ctx, padded, BLOCK_BYTES) == 1;
	OPENSSL_cleanse(padded, sizeof(padded));
	if (begun)
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

/* P-256 and nothing else: whoever signs must not choose the curve. */
static bool
make_ecdsa(RfKey *key, const char *text, size_t len)
{
	unsigned char der[SPKI_MAX];
	const unsigned char *end = der;
	size_t		der_len;
	char		curve[32];

	key->kind = RF_SIGN_ECDSA;
	if (!rf_base64_decode(text, len, RF_BASE64_PADDED, der, sizeof(der), &der_len))
		return false;
	key->public = d2i_PUBKEY(NULL, &end, (long) der_len);
	if (key->public == NULL || end != der + der_len ||
		EVP_PKEY_get_base_id(key->public) != EVP_PKEY_EC ||
		EVP_PKEY_get_group_name(key->public, curve, sizeof(curve), NULL) != 1 ||
		strcmp(curve, "prime256v1") != 0)
		return false;
	key->verify = EVP_PKEY_CTX_new(key->public, NULL);
	return key->verify != NULL && EVP_PKEY_public_check(key->verify) == 1 &&
		EVP_PKEY_verify_init(key->verify) == 1 &&
		EVP_PKEY_CTX_set_signature_md(key->verify, sha256()) == 1;
}

static bool
make_standard(RfKey *key, const char *text, size_t len)
{
	unsigned char bytes[SECRET_MAX];
	size_t		nbytes;
	bool		public = len >= 5 && memcmp(text, "whpk_", 5) == 0;
	bool		secret = len >= 6 && memcmp(text, "whsec_", 6) == 0;
	size_t		skip = public ? 5 : (secret ? 6 : 0);
	bool		made = false;

	if (!rf_base64_decode(text +skip, len - skip, RF_BASE64_ANY, bytes, sizeof(bytes), &nbytes))
		return false;
	if (public && nbytes == DIGEST_BYTES)
	{
		key->kind = RF_SIGN_ED25519;
		key->public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, nbytes);
		made = key->public != NULL;
	}
	else if (!public && nbytes > 0)
		made = make_hmac(key, bytes, nbytes);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return made;
}

/* All of the signatures are compared, whichever is the right one. */
static bool
made_hmac(const RfKey *key, const RfSigned *what)
{
	unsigned char mac[DIGEST_BYTES];
	EVP_MD_CTX *ctx = scratch();
	bool		made = false;

	if (ctx == NULL || EVP_MD_CTX_copy_ex(ctx, key->inner) != 1)
		return false;
	for (size_t i = 0; i < what->nparts; i++)
		if (what->parts[i].len > 0 &&
			EVP_DigestUpdate(ctx, what->parts[i].data, what->parts[i].len) != 1)
			return false;
	if (EVP_DigestFinal_ex(ctx, mac, NULL) != 1 ||
		EVP_MD_CTX_copy_ex(ctx, key->outer) != 1 ||
		EVP_DigestUpdate(ctx, mac, DIGEST_BYTES) != 1 ||
		EVP_DigestFinal_ex(ctx, mac, NULL) != 1)
		return false;
	for (size_t i = 0; i < what->nsignatures; i++)
	{
		const RfSignature *signature = &what->signatures[i];

		if (signature->kind == RF_SIGN_HMAC && signature->len == DIGEST_BYTES &&
			CRYPTO_memcmp(signature->bytes, mac, DIGEST_BYTES) == 0)
			made = true;
	}
	return made;
}

/* OpenSSL takes only the one DER form of a signature, and no r or s of 0. */
static bool
made_ecdsa(const RfKey *key, const RfSigned *what)
{
	unsigned char digest[DIGEST_BYTES];

	if (!rf_key_digest(what->parts, what->nparts, digest))
		return false;
	for (size_t i = 0; i < what->nsignatures; i++)
	{
		const RfSignature *signature = &what->signatures[i];

		if (signature->kind == RF_SIGN_ECDSA &&
			EVP_PKEY_verify(key->verify, signature->bytes, signature->len, digest, DIGEST_BYTES) == 1)
			return true;
	}
	return false;
}

/* Signs the message itself, not its hash: in one piece. */
static bool
made_ed25519(const RfKey *key, const RfSigned *what)
{
	EVP_MD_CTX *ctx;
	RfBuffer	message = {0};
	bool		made = false;

	for (size_t i = 0; i < what->nparts; i++)
		rf_buffer_add(&message, what->parts[i].data, what->parts[i].len);
	for (size_t i = 0; i < what->nsignatures && !message.failed && !made; i++)
	{
		const RfSignature *signature = &what->signatures[i];

		if (signature->kind != RF_SIGN_ED25519)
			continue;
		ctx = EVP_MD_CTX_new();
		made = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->public) == 1 &&
			EVP_DigestVerify(ctx, signature->bytes, signature->len,
							 (const unsigned char *) message.data, message.len) == 1;
		EVP_MD_CTX_free(ctx);
	}
	rf_buffer_free(&message);
	return made;
}

/* Digests are compared: neither the time nor the lengths tell anything. */
static bool
is_secret(const RfKey *key, const RfSigned *what)
{
	unsigned char digest[DIGEST_BYTES];

	return what->scheme == RF_SCHEME_NONE && what->secret.len > 0 &&
		rf_key_digest(&what->secret, 1, digest) &&
		CRYPTO_memcmp(digest, key->secret, DIGEST_BYTES) == 0;
}

/* Looked up once: a search by name each time costs more than a hash. */
static const EVP_MD *
sha256(void)
{
	static EVP_MD *digest = NULL;

	if (digest == NULL)
		digest = EVP_MD_fetch(NULL, "SHA256", NULL);
	return digest != NULL ? digest : EVP_sha256();
}

static EVP_MD_CTX *
scratch(void)
{
	static EVP_MD_CTX *ctx = NULL;

	if (ctx == NULL)
		ctx = EVP_MD_CTX_new();
	return ctx;
}
