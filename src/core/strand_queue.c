/*-------------------------------------------------------------------------
 *
 * strand_queue.c
 *	  Priority queues of strands, without memory of their own.
 *
 * A pairing heap: each strand links to its first child and to its siblings.
 * Adding is one comparison, removing a logarithmic number of them on average.
 *
 * IDENTIFICATION
 *	  src/core/strand_queue.c
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "core/strand_queue.h"

static RfStrand *strand_at(RfStrand *strands, uint32_t link);
static uint32_t link_to(const RfStrand *strands, const RfStrand *strand);
static uint32_t meld(RfStrand *strands, uint32_t a, uint32_t b,
					 RfStrandBefore before);
static uint32_t meld_children(RfStrand *strands, uint32_t first,
							  RfStrandBefore before);

void
rf_strand_queue_add(RfStrand *strands, uint32_t *root, RfStrand *strand,
					RfStrandBefore before)
{
	strand->child = 0;
	strand->next = 0;
	strand->previous = 0;
	*root = meld(strands, *root, link_to(strands, strand), before);
}

void
rf_strand_queue_remove(RfStrand *strands, uint32_t *root, RfStrand *strand,
					   RfStrandBefore before)
{
	uint32_t	link = link_to(strands, strand);
	uint32_t	orphans = meld_children(strands, strand->child, before);

	if (*root == link)
		*root = orphans;
	else
	{
		RfStrand   *previous = strand_at(strands, strand->previous);

		if (previous->child == link)
			previous->child = strand->next;
		else
			previous->next = strand->next;
		if (strand->next != 0)
			strand_at(strands, strand->next)->previous = strand->previous;
		*root = meld(strands, *root, orphans, before);
	}
	strand->child = 0;
	strand->next = 0;
	strand->previous = 0;
}

static RfStrand *
strand_at(RfStrand *strands, uint32_t link)
{
	return &strands[link - 1];
}

static uint32_t
link_to(const RfStrand *strands, const RfStrand *strand)
{
	return (uint32_t) (strand - strands) + 1;
}

/* Two roots become one: the later becomes the first child of the earlier. */
static uint32_t
meld(RfStrand *strands, uint32_t a, uint32_t b, RfStrandBefore before)
{
	RfStrand   *parent;
	RfStrand   *child;

	if (a == 0 || b == 0)
		return a != 0 ? a : b;
	if (before(strand_at(strands, b), strand_at(strands, a)))
	{
		uint32_t	swap = a;

		a = b;
		b = swap;
	}
	parent = strand_at(strands, a);
	child = strand_at(strands, b);
	child->next = parent->child;
	child->previous = a;
	if (child->next != 0)
		strand_at(strands, child->next)->previous = b;
	parent->child = b;
	parent->next = 0;
	parent->previous = 0;
	return a;
}

/* Pairs from left to right, kept in a stack by next; then all from the right. */
static uint32_t
meld_children(RfStrand *strands, uint32_t first, RfStrandBefore before)
{
	uint32_t	stack = 0;
	uint32_t	root = 0;

	while (first != 0)
	{
		uint32_t	second = strand_at(strands, first)->next;
		uint32_t	rest = second != 0 ? strand_at(strands, second)->next : 0;
		uint32_t	pair;

		strand_at(strands, first)->next = 0;
		if (second != 0)
			strand_at(strands, second)->next = 0;
		pair = meld(strands, first, second, before);
		strand_at(strands, pair)->next = stack;
		stack = pair;
		first = rest;
	}
	while (stack != 0)
	{
		uint32_t	rest = strand_at(strands, stack)->next;

		strand_at(strands, stack)->next = 0;
		root = meld(strands, root, stack, before);
		stack = rest;
	}
	if (root != 0)
		strand_at(strands, root)->previous = 0;
	return root;
}
