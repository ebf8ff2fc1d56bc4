/*-------------------------------------------------------------------------
 *
 * signing.h
 *	  Signing as the providers do, with keys of our own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ROLEFERRY_TEST_SIGNING_H
#define ROLEFERRY_TEST_SIGNING_H

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "tap.h"
#include "webhook/key.h"

typedef struct EcKey
{
	EVP_PKEY   *pair;
	char		public[600];	/* as SendGrid shows it */
} EcKey;

static RfText
text_of(const char *text)
{
	RfText		result;

	result.data = text;
	result.len = strlen(text);
	return result;
}

static void
add_header(RfSignHeaders *headers, const char *name, const char *value)
{
	rf_sign_headers_add(headers, text_of(name), text_of(value));
}

static void
hmac(const char *secret, const char *text, unsigned char mac[32])
{
	unsigned int len;

	HMAC(EVP_sha256(), secret, (int) strlen(secret), (const unsigned char *) text, strlen(text), mac, &len);
}

static void
hmac_hex(const char *secret, const char *text, char out[65])
{
	unsigned char mac[32];

	hmac(secret, text, mac);
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
}

static void
hmac_base64(const char *secret, const char *text, char *out)
{
	unsigned char mac[32];

	hmac(secret, text, mac);
	EVP_EncodeBlock((unsigned char *) out, mac, 32);
}

static EcKey
make_ec_key(const char *curve)
{
	EcKey		key;
	unsigned char *der = NULL;
	int			len;

	key.pair = EVP_EC_gen(curve);
	len = i2d_PUBKEY(key.pair, &der);
	EVP_EncodeBlock((unsigned char *) key.public, der, len);
	OPENSSL_free(der);
	return key;
}

static void
free_ec_key(EcKey *key)
{
	EVP_PKEY_free(key->pair);
}

static size_t
ecdsa_der(const EcKey *key, const char *text, const char *hash, unsigned char *der, size_t size)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t		len = size;

	EVP_DigestSignInit_ex(ctx, NULL, hash, NULL, NULL, key->pair, NULL);
	EVP_DigestSign(ctx, der, &len, (const unsigned char *) text, strlen(text));
	EVP_MD_CTX_free(ctx);
	return len;
}

static void
ecdsa_base64(const EcKey *key, const char *text, const char *hash, char *out)
{
	unsigned char der[200];
	size_t		len = ecdsa_der(key, text, hash, der, sizeof(der));

	EVP_EncodeBlock((unsigned char *) out, der, (int) len);
}

static bool
takes_der(const EcKey *key, const unsigned char *der, size_t len)
{
	RfSignHeaders headers = {0};
	char		text[300];
	RfSigned	what;
	RfKey	   *public = rf_key_make(RF_SCHEME_SENDGRID, key->public, strlen(key->public));
	bool		good;

	EVP_EncodeBlock((unsigned char *) text, der, (int) len);
	add_header(&headers, "X-Twilio-Email-Event-Webhook-Signature", text);
	add_header(&headers, "X-Twilio-Email-Event-Webhook-Timestamp", "1700000000");
	good = rf_signed_read(RF_SCHEME_SENDGRID, &headers, text_of("[]"), &what) == RF_SIGN_OK &&
		rf_key_verifies(public, &what);
	rf_key_free(public);
	return good;
}

/* A signature is one sequence of two numbers, neither of them 0, and nothing else. */
static void
test_der(const EcKey *key)
{
	static const unsigned char bad[][8] = {
		{0x30, 6, 2, 1, 0, 2, 1, 0}, {0x30, 6, 2, 1, 0, 2, 1, 1}, {0x30, 6, 2, 1, 1, 2, 1, 0},
		{0x30, 6, 2, 1, 0x81, 2, 1, 1}, {0x31, 6, 2, 1, 1, 2, 1, 1}, {0x30, 6, 2, 1, 1, 4, 1, 1},
		{0x30, 0x80, 2, 1, 1, 2, 1, 1}
	};
	unsigned char der[200];
	size_t		len;

	/* With room for another byte. */
	do
		len = ecdsa_der(key, "1700000000[]", "SHA256", der, sizeof(der));
	while (len >= RF_SIGNATURE_BYTES);
	ok(takes_der(key, der, len), "a signature in DER is good");
	der[len] = 0;
	ok(!takes_der(key, der, len + 1), "but not with a byte behind it");
	ok(!takes_der(key, der, len - 1), "nor cut short");
	der[4] ^= 1;
	ok(!takes_der(key, der, len), "nor with another bit");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!takes_der(key, bad[i], sizeof(bad[i])),
		   "r and s are numbers above 0, in a sequence of known length (%d)", (int) i);
	len = ecdsa_der(key, "1700000000[]", "SHA1", der, sizeof(der));
	ok(!takes_der(key, der, len), "another hash is another signature");
}

#endif							/* ROLEFERRY_TEST_SIGNING_H */
